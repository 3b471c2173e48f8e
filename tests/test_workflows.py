"""What runs on GitHub: the workflows hold what the project says elsewhere, and call what exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
WORKFLOWS = {
    path.stem: yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)
    for path in FILES
}
JOBS = {
    f"{name}/{job_name}": job
    for name, workflow in WORKFLOWS.items()
    for job_name, job in workflow["jobs"].items()
}
STEPS = {
    f"{name}/{number}": step
    for name, job in JOBS.items()
    for number, step in enumerate(job["steps"], start=1)
}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def of(name: str) -> list:
    """The parameters of a test that runs for each step with a part of this name."""
    return [
        pytest.param(step[name], id=place)
        for place, step in STEPS.items()
        if name in step
    ]


def known_pythons() -> set[str]:
    """Every version that pyproject.toml allows."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    allowed = SpecifierSet(re.search(r'^requires-python = "(.*)"$', text, re.M)[1])
    return {f"3.{minor}" for minor in range(30) if f"3.{minor}.0" in allowed}


def test_there_are_three_workflows():
    assert list(WORKFLOWS) == ["links", "publish", "test"]


@pytest.mark.parametrize("job", [pytest.param(JOBS[name], id=name) for name in JOBS])
def test_a_job_ends_in_time_and_may_do_little(job):
    assert 0 < int(job["timeout-minutes"]) <= 120
    assert set(job.get("permissions", {})) <= {"pages", "id-token"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_reads_and_no_more(name):
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}


def test_only_the_job_that_deploys_may_write():
    assert [name for name in JOBS if "permissions" in JOBS[name]] == ["publish/deploy"]


@pytest.mark.parametrize("uses", of("uses"))
def test_an_action_is_githubs_own_and_of_one_major_version(uses):
    assert re.fullmatch(r"actions/[a-z-]+@v\d+", uses)


def test_all_workflows_use_one_version_of_an_action():
    used = {param.values[0] for param in of("uses")}
    assert len({action.partition("@")[0] for action in used}) == len(used)


@pytest.mark.parametrize("job", ["test/everything", "test/package"])
def test_the_tests_run_on_every_python_of_the_project(job):
    versions = JOBS[job]["strategy"]["matrix"]["python"]
    assert len(versions) == len(set(versions)) >= 3
    assert set(versions) == known_pythons()


def test_the_tests_run_on_three_systems():
    systems = {
        JOBS["test/everything"]["runs-on"],
        *JOBS["test/package"]["strategy"]["matrix"]["os"],
    }
    assert {name.partition("-")[0] for name in systems} == {
        "ubuntu",
        "macos",
        "windows",
    }


@pytest.mark.parametrize("settings", of("with"))
def test_one_python_is_one_of_the_projects_and_its_packages_are_kept(settings):
    if "python-version" in settings:
        version = settings["python-version"]
        assert version == "${{ matrix.python }}" or version in known_pythons()
        assert settings["cache"] == "pip"
        assert list(ROOT.glob(settings["cache-dependency-path"]))


@pytest.mark.parametrize("line", of("run"))
def test_a_command_names_what_exists(line):
    program, *words = shlex.split(line)
    if program == "make":
        target, *settings = words
        assert re.search(rf"^{target}:.* ## ", MAKEFILE, re.M), target
        assert settings == ["PYTHON=python"]
        return
    assert [program, *words[:2]] in (
        ["python", "-m", "pip"],
        ["python", "-m", "pytest"],
    )
    for word in words:
        path = word.removeprefix("--ignore=")
        if path.endswith(".txt") or path != word:
            assert (ROOT / path).exists(), path


def test_without_make_the_same_is_installed():
    """Windows has no make, so what it does stands twice."""
    own = [step.get("run", "") for step in JOBS["test/package"]["steps"]]
    for line in own:
        if "pip" in line:
            arguments = line.removeprefix("python -m pip install ")
            assert re.search(
                rf"-m pip install (?:--quiet |--progress-bar on )?{re.escape(arguments)}$",
                MAKEFILE,
                re.M,
            ), line


def test_the_book_is_published_from_main_after_the_tests():
    publish = WORKFLOWS["publish"]
    assert publish["on"] == {
        "workflow_run": {
            "workflows": [WORKFLOWS["test"]["name"]],
            "types": ["completed"],
            "branches": ["main"],
        }
    }
    assert WORKFLOWS["test"]["on"]["push"] == {"branches": ["main"]}
    build, deploy = publish["jobs"].values()
    assert "workflow_run.conclusion == 'success'" in build["if"]
    assert "workflow_run.event == 'push'" in build["if"]
    assert "workflow_run.head_sha == github.sha" in build["if"]
    assert build["steps"][0]["with"]["ref"].startswith(
        "${{ github.event.workflow_run.head_sha"
    )
    assert deploy["needs"] == "build"
    made = build["steps"][-1]["with"]["path"]
    assert made == re.search(r"^SITE +:= (\S+)$", MAKEFILE, re.M)[1]


def test_links_are_followed_every_week():
    (schedule,) = WORKFLOWS["links"]["on"]["schedule"]
    minute, hour, *days, weekday = schedule["cron"].split()
    assert minute.isdigit() and hour.isdigit() and days == ["*", "*"]
    assert weekday.isdigit()


def test_no_host_of_packages_is_named():
    for path in FILES:
        assert not re.search(r"https?://", path.read_text(encoding="utf-8")), path.name
