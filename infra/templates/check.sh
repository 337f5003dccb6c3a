#!/usr/bin/env bash
# Checks infra/template.yaml and infra/cdk without AWS: check.sh [CACHE_DIR]
# Needs Python 3.11 (with venv) and Node 20, or newer. What it installs stays in CACHE_DIR, in folders named
# after the versions asked for.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${1:-${A2A_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/a2a-serverless}/templates}
cache=$(mkdir -p "$cache" && cd "$cache" && pwd)
# CDK leaves a folder there for each synthesis.
TMPDIR=$(mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

version() { cat "$@" | sha256sum | cut -c1-12; }

# The file `done` comes last: an installation that was interrupted begins anew.
venv=$cache/python-$(version "$here/requirements.txt")
if [[ ! -e $venv/done ]]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$here/requirements.txt"
    touch "$venv/done"
fi

cd "$here/../cdk"
# A node_modules of one's own is taken as it is; a link is from here.
if [[ ! -d node_modules || -L node_modules ]]; then
    modules=$cache/node-$(version package.json package-lock.json)
    # npm writes this file last, and an `npm ci` through the link empties the folder.
    if [[ ! -e $modules/node_modules/.package-lock.json ]]; then
        rm -rf "$modules"
        mkdir "$modules"
        cp package.json package-lock.json "$modules"
        npm ci --prefix "$modules" --ignore-scripts --no-audit --no-fund --loglevel=error
    fi
    ln -sfn "$modules/node_modules" node_modules
fi

export PATH=$PWD/node_modules/.bin:$PATH CDK_TEMPLATES=$TMPDIR/templates
mkdir "$CDK_TEMPLATES"
tsc
tsx --test --test-reporter=spec test/*.test.ts
"$venv/bin/python" -B -m pytest -q -p no:cacheprovider "$here"
