"""`python demo`: make a short clip with the bundled toy models in a real, headless ComfyUI.

`python demo install PATH` puts these models into a ComfyUI of yours, `python demo uninstall PATH` takes them
out. `python demo clips FOLDER` draws clips to teach a motion with.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Set up with whatever Python runs this, then go on inside the virtual environment."""
    if sys.argv[1:2] in (["install"], ["uninstall"]):
        if __package__:
            from .install import main as install
        else:
            from install import main as install

        install(sys.argv[1:])
        return
    if __package__:
        from . import clips, film

        words = sys.argv[1:]
        clips.main(words[1:]) if words[:1] == ["clips"] else film.main(words)
        return
    import os
    import subprocess

    import environment

    environment.ensure_or_exit()
    command = [str(environment.PYTHON), "-m", "video_ldm.demo", *sys.argv[1:]]
    if os.name == "posix":
        os.execv(command[0], command)
    sys.exit(subprocess.call(command))


if __name__ == "__main__":
    main()
