-- A registry of form 1 with every kind of object: two versions of a view, a service that pins the older one,
-- a saved dataset, three records. It must be loaded by every later Lodestore.
PRAGMA application_id = 1280263237;
PRAGMA user_version = 1;
CREATE TABLE project (name TEXT PRIMARY KEY, revision INTEGER NOT NULL) STRICT;
CREATE TABLE object (
    project TEXT NOT NULL REFERENCES project ON DELETE CASCADE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    form INTEGER NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (project, kind, name)
) STRICT;
CREATE TABLE view_version (
    project TEXT NOT NULL REFERENCES project ON DELETE CASCADE,
    view TEXT NOT NULL,
    number INTEGER NOT NULL,
    created_at_us INTEGER NOT NULL,
    form INTEGER NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (project, view, number)
) STRICT;
CREATE TABLE record (
    project TEXT NOT NULL REFERENCES project ON DELETE CASCADE,
    revision INTEGER NOT NULL,
    at_us INTEGER NOT NULL,
    author TEXT NOT NULL,
    changes TEXT NOT NULL,
    PRIMARY KEY (project, revision)
) STRICT;
INSERT INTO project VALUES ('shop', 3);
INSERT INTO object VALUES ('shop', 'data_source', 'asked', 1, '{"type":"request","name":"asked","schema":[{"name":"amount","type":"float64"}],"description":"d","tags":{"a":"b"},"owner":"o"}');
INSERT INTO object VALUES ('shop', 'data_source', 'live', 1, '{"type":"push","name":"live","batch_source":"stats","description":"d","tags":{"a":"b"},"owner":"o"}');
INSERT INTO object VALUES ('shop', 'data_source', 'prices', 1, '{"type":"file","name":"prices","path":"prices.csv","valid_from":"from","valid_to":"to"}');
INSERT INTO object VALUES ('shop', 'data_source', 'stats', 1, '{"type":"file","name":"stats","path":"stats_v2.parquet","format":"parquet","timestamp_field":"at","created_timestamp_column":"made","availability_delay":"1h","field_mapping":{"c":"conv_rate"},"description":"d","tags":{"a":"b"},"owner":"o"}');
INSERT INTO object VALUES ('shop', 'entity', 'driver', 1, '{"name":"driver","join_keys":[{"name":"driver_id","type":"int64"},{"name":"region"}],"description":"d","tags":{"a":"b"},"owner":"o"}');
INSERT INTO object VALUES ('shop', 'feature_service', 'model_v1', 1, '{"definition":{"name":"model_v1","features":[{"view":"driver_stats","features":["conv_rate"],"alias":"stats","join_key_map":{"driver_id":"chauffeur"}},{"view":"price@1","features":["amount"]}],"description":"d","tags":{"a":"b"},"owner":"o"},"pins":{"driver_stats":1,"price":1}}');
INSERT INTO object VALUES ('shop', 'feature_view', 'driver_stats', 1, '{"current":2}');
INSERT INTO object VALUES ('shop', 'feature_view', 'price', 1, '{"current":1}');
INSERT INTO object VALUES ('shop', 'saved_dataset', 'training', 1, '{"path":"training.parquet","created_at_us":1700000000000002,"rows":7,"features":["driver_stats@1:conv_rate"],"plan":"one line\nanother","fingerprints":["stats.parquet 4 bytes"],"tags":{"model":"v1"}}');
INSERT INTO view_version VALUES ('shop', 'driver_stats', 1, 1700000000000000, 1, '{"definition":{"name":"driver_stats","entities":["driver"],"schema":[{"name":"region","type":"string"},{"name":"conv_rate","type":"float32","default":0.5,"description":"d","tags":{"a":"b"}},{"name":"all","type":"struct<a: list<int64>, b: map<string, decimal(10, 2)>>"}],"source":"live","ttl":"1d 12h","online":false,"description":"d","tags":{"a":"b"},"owner":"o"},"keys":[{"name":"driver_id","type":"int64"},{"name":"region","type":"string"}],"features":[{"name":"conv_rate","type":"float32","default":0.5},{"name":"all","type":"struct<a: list<int64>, b: map<string, decimal(10, 2)>>"}],"table":{"path":"stats.parquet","format":"parquet","times":{"timestamp_field":"at","created_timestamp_column":"made","availability_delay":"1h"},"field_mapping":{"c":"conv_rate"}},"push_source":"live"}');
INSERT INTO view_version VALUES ('shop', 'driver_stats', 2, 1700000000000001, 1, '{"definition":{"name":"driver_stats","entities":["driver"],"schema":[{"name":"region","type":"string"},{"name":"conv_rate","type":"float32","default":0.5,"description":"d","tags":{"a":"b"}},{"name":"all","type":"struct<a: list<int64>, b: map<string, decimal(10, 2)>>"}],"source":"live","ttl":"1d 12h","online":false,"description":"d","tags":{"a":"b"},"owner":"o"},"keys":[{"name":"driver_id","type":"int64"},{"name":"region","type":"string"}],"features":[{"name":"conv_rate","type":"float32","default":0.5},{"name":"all","type":"struct<a: list<int64>, b: map<string, decimal(10, 2)>>"}],"table":{"path":"stats_v2.parquet","format":"parquet","times":{"timestamp_field":"at","created_timestamp_column":"made","availability_delay":"1h"},"field_mapping":{"c":"conv_rate"}},"push_source":"live"}');
INSERT INTO view_version VALUES ('shop', 'price', 1, 1700000000000000, 1, '{"definition":{"name":"price","schema":[{"name":"amount","type":"vector<float32, 3>"}],"source":"prices"},"keys":[],"features":[{"name":"amount","type":"vector<float32, 3>"}],"table":{"path":"prices.csv","format":"csv","times":{"valid_from":"from","valid_to":"to"}}}');
INSERT INTO record VALUES ('shop', 1, 1700000000000000, 'tester', '["+ entity ''driver''","+ data source ''asked''","+ data source ''live''","+ data source ''prices''","+ data source ''stats''","+ feature view ''driver_stats'': is version 1","+ feature view ''price'': is version 1; needs materializing","+ feature service ''model_v1'': pins version 1 of ''driver_stats''; pins version 1 of ''price''"]');
INSERT INTO record VALUES ('shop', 2, 1700000000000001, 'tester', '["~ data source ''stats'': path: stats.parquet -> stats_v2.parquet","~ feature view ''driver_stats'': adds version 2 beside version 1; follows from the change of data source ''stats''"]');
INSERT INTO record VALUES ('shop', 3, 1700000000000002, 'tester', '["+ saved dataset ''training''"]');
