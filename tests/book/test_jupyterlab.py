"""The widgets in JupyterLab, with a kernel: they react, and Python reads what the reader set."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import expect

CELLS = [
    "from lmcourse.widgets import MarkovExplorer\nexplorer = MarkovExplorer()\nexplorer",
    "print('tokens walked:', len(explorer.walk))",
    "from lmcourse.widgets import RNNStepper\nstepper = RNNStepper('the dog')\nstepper",
    "print('sentence read:', stepper.sentence)",
]
OPTIONS = [
    "--no-browser",
    "--allow-root",
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.port_retries=0",
    "--LabApp.extension_manager=readonly",
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[str]:
    """The address of a notebook in a JupyterLab that is there for this module only."""
    folder = tmp_path_factory.mktemp("lab")
    notebook = new_notebook(cells=[new_code_cell(source) for source in CELLS])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, folder / "widgets.ipynb")
    own = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
    environment = {
        **os.environ,
        **{f"JUPYTER_{name}": str(folder / name) for name in own},
    }
    notices = (
        folder
        / "settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    )
    notices.parent.mkdir(parents=True)
    notices.write_text(
        '{"fetchNews": "false", "checkForUpdates": false}', encoding="utf-8"
    )
    environment |= {
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
    }
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    options = [
        *OPTIONS,
        f"--ServerApp.port={port}",
        f"--ServerApp.root_dir={folder}",
        f"--IdentityProvider.token={token}",
    ]
    log = folder / "server.log"
    with log.open("w", encoding="utf-8") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/api?token={token}", server)
        yield f"http://127.0.0.1:{port}/lab/tree/widgets.ipynb?token={token}"
    except TimeoutError:
        pytest.fail(
            f"JupyterLab did not start:\n{log.read_text(encoding='utf-8')}",
            pytrace=False,
        )
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait_for(url: str, server: subprocess.Popen, seconds: float = 90) -> None:
    """Wait until an address answers.

    Raises:
        TimeoutError: It does not, or its server has stopped.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise TimeoutError(f"{url} did not answer within {seconds} s")


@pytest.fixture
def cells(lab, open_page):
    """The cells of the notebook in JupyterLab; whose log must show no error of ours."""
    page = open_page(lab)
    page.set_default_timeout(90_000)
    expect.set_options(timeout=90_000)
    yield page.locator(".jp-Notebook .jp-CodeCell")
    problems = [
        line for line in page.log if line.startswith(("other host", "script error"))
    ]
    page.log.clear()  # the rest is JupyterLab's own talk
    assert not problems


def run(cell) -> None:
    """Run a cell, and stay in it."""
    cell.locator(".cm-content").click()
    cell.page.keyboard.press("Control+Enter")


def said(cell, label: str) -> str:
    """What Python prints after the label when the cell runs."""
    run(cell)
    output = cell.locator(".jp-OutputArea-output")
    expect(output).to_contain_text(label)
    return output.inner_text().split(label)[1].strip()


def test_a_widget_reacts_and_python_reads_its_value(cells):
    run(cells.nth(0))
    widget = cells.nth(0).locator(".jp-OutputArea-output .lmcourse")
    expect(widget).to_be_visible()
    before = int(said(cells.nth(1), "tokens walked:"))
    widget.get_by_role("button", name="Step at random").click()
    widget.page.wait_for_timeout(500)
    assert int(said(cells.nth(1), "tokens walked:")) == before + 1


def test_a_trained_model_gets_its_weights_from_the_kernel(cells):
    run(cells.nth(2))
    widget = cells.nth(2).locator(".jp-OutputArea-output .lmcourse")
    likeliest = widget.get_by_role("group", name="Go on").get_by_role("button").first
    expect(likeliest).to_be_visible()  # the model has answered
    assert said(cells.nth(3), "sentence read:") == "the dog"
    word = likeliest.inner_text().split()[0]
    likeliest.click()
    widget.page.wait_for_timeout(500)
    assert said(cells.nth(3), "sentence read:") == f"the dog {word}"
