"""What is known about a flight that is about to leave: definitions of a feature repository.

Each view says from when its rows are known. A finished leg is known once it has arrived, an
airport's latest departure once it has left: both hours after the row's scheduled time.
"""

from datetime import timedelta

from lodestore import Aggregation, Entity, FeatureService, FeatureView, Field, FileSource
from lodestore.types import Float64, Int32, Int64, String

plane = Entity(name="plane", join_keys=[("tailnum", String)], description="An aircraft, by its tail number")
airport = Entity(name="airport", join_keys=[("origin", String)], description="An airport that flights leave from")
airline = Entity(name="airline", join_keys=[("carrier", String)], description="An airline, by its two-letter code")

landings = FileSource(name="landings", path="flights.parquet", timestamp_field="arrived_at")
departures = FileSource(name="departures", path="flights.parquet", timestamp_field="departed_at")
observations = FileSource(name="observations", path="weather.parquet", timestamp_field="observed_at")
planes = FileSource(name="planes", path="planes.parquet")

previous_leg = FeatureView(
    name="previous_leg",
    entities=[plane],
    source=landings,
    ttl=timedelta(hours=24),
    schema=[
        Field(name="arr_delay", dtype=Int32, description="Minutes late on arrival; negative for early"),
        Field(name="dep_delay", dtype=Int32, description="Minutes late on departure"),
        Field(name="air_time", dtype=Int32, description="Minutes in the air"),
    ],
    description="The last flight that a plane has landed from",
)

airport_traffic = FeatureView(
    name="airport_traffic",
    entities=[airport],
    source=departures,
    ttl=timedelta(hours=6),
    schema=[Field(name="dep_delay", dtype=Int32, description="Minutes late on departure")],
    description="The last flight that has left an airport",
)

airline_traffic = FeatureView(
    name="airline_traffic",
    entities=[airline],
    source=landings,
    ttl=timedelta(hours=24),
    schema=[Field(name="arr_delay", dtype=Int32, description="Minutes late on arrival")],
    description="The last flight of an airline that has landed",
)

weather = FeatureView(
    name="weather",
    entities=[airport],
    source=observations,
    ttl=timedelta(hours=3),
    schema=[
        Field(name="wind_speed", dtype=Float64, description="Miles an hour"),
        Field(name="precip", dtype=Float64, description="Inches in the hour before"),
        Field(name="visib", dtype=Float64, description="Visibility in miles"),
        Field(name="pressure", dtype=Float64, description="Millibars"),
    ],
    description="The last hourly observation at an airport",
)

plane_facts = FeatureView(
    name="plane_facts",
    entities=[plane],
    source=planes,
    schema=[
        Field(name="year_built", dtype=Int32),
        Field(name="seats", dtype=Int64),
    ],
    description="What does not change about a plane",
)

HOUR = timedelta(hours=1)

airport_windows = FeatureView(
    name="airport_windows",
    entities=[airport],
    source=departures,
    aggregations=[
        Aggregation("dep_delay", "mean", HOUR),
        Aggregation("dep_delay", "mean", 4 * HOUR),
        Aggregation("dep_delay", "max", 2 * HOUR),
        Aggregation(function="count", time_window=HOUR),
        Aggregation(function="count", time_window=HOUR, where="dep_delay > 15", name="late_1h"),
    ],
    description="What has left an airport lately",
)

airline_windows = FeatureView(
    name="airline_windows",
    entities=[airline],
    source=landings,
    aggregations=[
        Aggregation("arr_delay", "mean", 3 * HOUR),
        Aggregation("arr_delay", "mean", 24 * HOUR),
        Aggregation("arr_delay", "stddev", 24 * HOUR),
        Aggregation("arr_delay", "mean", timedelta(days=7)),
    ],
    description="How late the flights of an airline have landed lately",
)

plane_windows = FeatureView(
    name="plane_windows",
    entities=[plane],
    source=landings,
    aggregations=[
        Aggregation("arr_delay", "mean", 24 * HOUR),
        Aggregation("arr_delay", "max", 12 * HOUR),
        Aggregation(function="count", time_window=24 * HOUR),
        Aggregation("dep_delay", "mean", timedelta(days=30)),
    ],
    description="What a plane has been through lately",
)

latest = [previous_leg, airport_traffic, airline_traffic, weather, plane_facts]

latest_only = FeatureService(
    name="latest_only",
    features=latest,
    description="The latest row of each view, and nothing before it",
)

late_departure = FeatureService(
    name="late_departure",
    features=[*latest, airport_windows, airline_windows, plane_windows],
    description="What the model 'will this flight leave late?' reads",
)
