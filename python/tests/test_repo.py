import json
import subprocess
import sys
from pathlib import Path

import pytest

import lodestore

PACKAGE = Path(lodestore.__file__).parents[1]


@pytest.fixture
def load(tmp_path):
    """Writes files into a repository and loads it in a process of its own."""

    def write_and_load(files):
        repo = tmp_path / "repo"
        for path, text in files.items():
            file = repo / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return run(repo)

    def run(*arguments):
        command = [sys.executable, "-m", "lodestore._repo", *map(str, arguments)]
        environment = {"PYTHONPATH": str(PACKAGE), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)

    write_and_load.run = run
    return write_and_load


def names(result):
    assert result.returncode == 0, result.stderr
    sections = json.loads(result.stdout)
    assert sections.pop("version") == 1
    return sorted(one["name"] for section in sections.values() for one in section)


def entity(name, variable="x", **given):
    arguments = "".join(f", {key}={value!r}" for key, value in given.items())
    return f"from lodestore import Entity\n{variable} = Entity(name={name!r}{arguments})\n"


def test_definitions_of_all_files_and_what_they_were_given(repo_path, load):
    result = load.run(repo_path)
    assert names(result) == [
        "driver",
        "driver_live",
        "driver_model",
        "driver_push",
        "driver_stats",
        "driver_stats_source",
        "place",
        "places",
        "places_source",
        "trip_model",
    ]
    assert result.stderr == ""


def test_files_import_each_other_and_an_object_of_several_files_is_one(load):
    result = load(
        {
            "entities.py": entity("driver", "driver"),
            "features/driver.py": (
                "from entities import driver\nfrom lodestore import FeatureView\nfrom .sources import stats\n"
                "view = FeatureView(name='view', entities=[driver], source=stats)\n"
            ),
            "features/sources.py": "from lodestore import FileSource\nstats = FileSource(path='stats.csv')\n",
            "zoo/__init__.py": entity("of_a_package"),
        }
    )
    assert names(result) == ["driver", "of_a_package", "stats.csv", "view"]


def test_lists_tuples_and_dicts_of_objects_are_read_but_nothing_deeper(load):
    result = load(
        {
            "a.py": "from lodestore import Entity as E\n"
            "views = [E(name='in_list')]\nmore = (E(name='in_tuple'), 1)\nthird = {'x': E(name='in_dict')}\n"
            "deep = [[E(name='deep')]]\n"
            "def make():\n    return E(name='not_made')\n"
        }
    )
    assert names(result) == ["in_dict", "in_list", "in_tuple"]


def test_what_is_left_out(load):
    broken = "raise RuntimeError('imported')"
    result = load(
        {
            "good.py": entity("good"),
            ".hidden/a.py": broken,
            "__pycache__/a.py": broken,
            "__init__.py": broken,
            "test_workflow.py": broken,
            "workflow_test.py": broken,
            "conftest.py": broken,
            "tests/a.py": broken,
            "env/pyvenv.cfg": "",
            "env/lib/a.py": broken,
            "notebooks/a.py": broken,
            "scripts/run.py": broken,
            "scripts/kept.py": entity("kept"),
            "old_1.py": broken,
            "notes.txt": "no code",
            ".lodestoreignore": "# not ours\nnotebooks/\n\nscripts/run.py  # a script\n",
            ".feastignore": "old_*.py\n",
        }
    )
    assert names(result) == ["good", "kept"]


def test_an_empty_repository_is_an_empty_document(load, tmp_path):
    (tmp_path / "empty").mkdir()
    assert json.loads(load.run(tmp_path / "empty").stdout) == {"version": 1}


def test_what_files_print_does_not_reach_the_document(load):
    result = load(
        {
            "a.py": "import os, sys\nprint('from python')\nos.write(1, b'from below\\n')\n"
            "sys.stdout.write('no newline')\n" + entity("a")
        }
    )
    assert names(result) == ["a"]
    assert all(said in result.stderr for said in ("from python", "from below", "no newline"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\ny = (\n", "a.py:2: SyntaxError: '(' was never closed"),
        ("x = 1\n\nundefined\n", "a.py:3: NameError: name 'undefined' is not defined"),
        ("import no_such_module\n", "a.py:1: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def f():\n    return 1 / 0\nf()\n", "a.py:2: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(0)\n", "a.py:2: SystemExit: the file ends the process"),
        (
            "from lodestore import Entity\nx = Entity(name=7)\n",
            "a.py:2: TypeError: entity: name must be text that is not empty, not 7",
        ),
        (
            "from datetime import timedelta\nfrom lodestore import FileSource\n"
            "x = FileSource(path='p', availability_delay=timedelta(-1))\n",
            "a.py:3: data source 'p': availability_delay must not be negative",
        ),
    ],
)
def test_a_file_that_fails_is_named_with_its_line(load, text, message):
    result = load({"a.py": text})
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(message)
    assert "Traceback" not in result.stderr


def test_the_place_of_an_error_is_where_it_is_raised_in_the_repository(load):
    result = load({"a.py": "import lib.b\n", "lib/b.py": "\n\nimport json\njson.loads('{')\n"})
    assert result.returncode == 1
    assert result.stderr.startswith("lib/b.py:4: JSONDecodeError: ")


def test_two_different_objects_of_one_name_are_refused_with_both_places(load):
    result = load({"a.py": entity("driver"), "lib/b.py": "\n" + entity("driver", owner="me")})
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "entity 'driver' is defined twice, differently: a.py:2 and lib/b.py:3\n"


def test_equal_objects_of_one_name_are_one(load):
    assert names(load({"a.py": entity("driver"), "b.py": entity("driver")})) == ["driver"]


def test_a_file_called_as_a_module_of_python_is_refused(load):
    result = load({"json.py": entity("driver")})
    assert result.returncode == 1
    assert result.stderr.startswith("json.py:1: another module is called 'json'")


def test_wrong_use_is_told(load, tmp_path):
    for arguments in ([], [tmp_path / "none"], [tmp_path, tmp_path]):
        result = load.run(*arguments)
        assert (result.returncode, result.stdout) == (2, "")
        assert "usage: python -m lodestore._repo <folder" in result.stderr
