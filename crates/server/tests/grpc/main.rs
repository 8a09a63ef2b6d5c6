//! The gRPC services as clients see them: a real client, a real socket, a real embedded store.

mod access;
mod generated;
mod reads;
mod world;
mod writes;
