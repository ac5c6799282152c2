"""Start gitcoord: `python -P -m gitcoord`; or as a file, which is how gitcoord starts itself (`store/program.py`)."""

from __future__ import annotations

import sys

if not sys.flags.safe_path:
    del sys.path[0]  # the working folder, or this file's: nothing more is taken from there


def _load_own_package() -> None:
    """Load the package from the folder of this file, wherever `import gitcoord` would find one."""
    from importlib.util import module_from_spec, spec_from_file_location
    from pathlib import Path

    folder = Path(__file__).absolute().parent
    sys.path.append(str(folder.parent))  # last: for what was installed beside it, by `pip install --user` or `--target`
    spec = spec_from_file_location("gitcoord", folder / "__init__.py", submodule_search_locations=[str(folder)])
    assert spec is not None and spec.loader is not None
    sys.modules["gitcoord"] = package = module_from_spec(spec)
    spec.loader.exec_module(package)


if not __package__:
    _load_own_package()

if __name__ == "__main__":  # and not in a process of `multiprocessing`
    from gitcoord.cli.main import main

    main()
