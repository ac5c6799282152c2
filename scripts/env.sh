# shellcheck shell=bash
# Sourced by scripts/test, scripts/demo and .ci/run: finds Python and git, and makes environments.
#
# An environment lies in .environments/ of the tree that it serves, under a name made of everything it depends
# on, and holds the project as an editable installation: tests test the tree they stand in, runs after the first
# start at once, and a changed setup.cfg gets a new environment.

#
# Whoever sources this may stand in any folder: Python is started with -I, which takes nothing from there.

set -euo pipefail

# A relative or empty entry of PATH means the folder that this is called in, whose files may be anybody's.
safe='' IFS=: && set -f
for entry in $PATH; do
    case $entry in /*) safe=$safe${safe:+:}$entry ;; esac
done
unset IFS && set +f
PATH=$safe
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

PYTHON_MIN=3.11
LOCK=gitcoord/github/requirements.txt
GIT_MIN=2.38 # the first with `git merge-tree --write-tree`
export PIP_DISABLE_PIP_VERSION_CHECK=1

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 2
}

# Sets `python`: $PYTHON if that is set, else the first interpreter that is new enough.
find_python() {
    local candidate path
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11 python; do
        path=$(command -v "$candidate" 2>/dev/null) || continue
        if "$path" -I -c "import sys; sys.exit(sys.version_info < (${PYTHON_MIN/./, }))" 2>/dev/null; then
            python=$path
            "$python" -I -c 'import ensurepip, venv' 2>/dev/null ||
                die "$python cannot make environments: install its venv package (Debian: python3-venv)"
            return
        fi
        [ "$candidate" != "${PYTHON:-}" ] || die "PYTHON=$PYTHON is older than Python $PYTHON_MIN, or no Python"
    done
    die "Python $PYTHON_MIN or newer is needed and none was found: install one, or set PYTHON to it"
}

need_git() {
    local version major minor
    command -v git >/dev/null || die "git $GIT_MIN or newer is needed and none was found: install it"
    version=$(git --version | sed 's/^git version //')
    major=${version%%.*}
    minor=${version#*.}
    minor=${minor%%.*}
    if [ "$major" -lt "${GIT_MIN%.*}" ] ||
        { [ "$major" -eq "${GIT_MIN%.*}" ] && [ "$minor" -lt "${GIT_MIN#*.}" ]; }; then
        die "git $GIT_MIN or newer is needed, this is $version: upgrade it"
    fi
}

# environment NAME [EXTRA]: sets `env_python`. Two that make the same environment at once both succeed: each
# builds its own, the first to finish is kept under the name, and nobody has to wait for a lock.
environment() {
    local name=$1 extra=${2:-} key home link
    find_python
    key=$(cd "$root" && "$python" -I -c 'import hashlib, os, pathlib, sys
parts = [pathlib.Path(name).read_bytes() for name in ("setup.cfg", "pyproject.toml", sys.argv[1])]
parts += [part.encode() for part in (os.getcwd(), sys.version, sys.executable)]
print(hashlib.sha256(b"\0".join(parts)).hexdigest()[:12])' "$LOCK")
    link=$root/.environments/$name-$key
    env_python=$link/bin/python
    [ ! -x "$env_python" ] || return 0
    printf '%s: making the environment "%s" (once; needs a package index)\n' "${0##*/}" "$name" >&2
    mkdir -p "$root/.environments"
    find "$root/.environments" -mindepth 1 -maxdepth 1 -mtime +7 -exec rm -rf {} +
    home=$link.$$
    "$python" -I -m venv "$home"
    sed -n 's/ *\\$//; /^[A-Za-z0-9]/p' "$root/$LOCK" >"$home/constraints.txt" # tests test the versions that are locked
    "$home/bin/python" -I -m pip install --quiet --constraint "$home/constraints.txt" --editable "$root${extra:+[$extra]}"
    "$python" -I -c 'import os, sys; os.symlink(sys.argv[1], sys.argv[2])' "${home##*/}" "$link" 2>/dev/null ||
        env_python=$home/bin/python
}
