"""Iceberg tables in an object store, whose keys are not percent-encoded, whatever they look like."""

from urllib.parse import urlsplit

import boto3
import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from lodestore.errors import NotFoundError, UnsupportedError

SETTINGS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}


@pytest.fixture
def catalog(s3, tmp_path, monkeypatch):
    for name, value in {**SETTINGS, "AWS_ENDPOINT": s3}.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3", endpoint_url=s3, region_name="us-east-1").create_bucket(Bucket="lake")
    access = {"s3.access-key-id": "key", "s3.secret-access-key": "secret", "s3.region": "us-east-1"}
    places = {"uri": f"sqlite:///{tmp_path}/catalog.db", "warehouse": "s3://lake/ware house", "s3.endpoint": s3}
    catalog = SqlCatalog("lake", **places, **access)
    catalog.create_namespace("db")
    return catalog


def test_a_table_in_a_bucket_answers_as_its_rows_in_a_file_do(catalog, tables):
    table = catalog.create_table("db.t", schema=tables.rows().schema)
    with table.update_spec() as update:
        update.add_identity("city")
    table.append(tables.rows())
    table.append(tables.rows(trips=1000))
    first = table.metadata.snapshots[0].snapshot_id
    both = tables.expected(pa.concat_tables([tables.rows(), tables.rows(trips=1000)]))
    assert tables.ask(table.location(), format="iceberg") == both
    assert tables.ask(table.metadata_location.replace("s3://", "s3a://"), format="iceberg") == both
    assert tables.ask(table.location(), format="iceberg", version=first) == tables.expected(tables.rows())
    with pytest.raises(NotFoundError, match="no iceberg table is at 's3://lake/none'"):
        tables.ask("s3://lake/none", format="iceberg")


def test_files_in_another_bucket_are_refused(catalog, tables, s3):
    table = catalog.create_table("db.u", schema=tables.rows().schema)
    table.append(tables.rows())
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    client.create_bucket(Bucket="other")
    metadata = urlsplit(table.metadata_location).path.lstrip("/")
    copied = client.get_object(Bucket="lake", Key=metadata)["Body"].read()
    client.put_object(Bucket="other", Key="t/metadata/v1.metadata.json", Body=copied)
    with pytest.raises(UnsupportedError, match="has files in another store, as s3://lake/"):
        tables.ask("s3://other/t", format="iceberg")
