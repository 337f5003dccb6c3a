#!/usr/bin/env bash
# Two runners on one store: what one began, the other shows, streams on, continues and cancels.
# Over each durable store in turn, or over those named: infra/instances.sh [dynamodb|redis|postgres]...
# Needs curl, jq and the engines: eval "$(cargo xtask up)"
set -euo pipefail
cd "$(dirname "$0")/.."
unset A2A_KAFKA A2A_STORE

cargo build --quiet --workspace --example steps
runner=${CARGO_TARGET_DIR:-target}/debug/examples/steps
logs=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$logs"' EXIT

url() {
    local name=instances_$$
    case $1 in
        dynamodb) echo "dynamodb://$name?region=eu-central-1&endpoint=${A2A_TEST_DYNAMODB:?run: eval \"\$(cargo xtask up)\"}" ;;
        redis) echo "${A2A_TEST_REDIS:?run: eval \"\$(cargo xtask up)\"}/0?prefix=$name" ;;
        postgres) echo "${A2A_TEST_POSTGRES:?run: eval \"\$(cargo xtask up)\"}?schema=$name" ;;
        *) echo "there is no store $1" >&2 && exit 1 ;;
    esac
}

# start NAME STORE: a runner on a free port; its address goes to the variable NAME.
start() {
    : >"$logs/$1"
    "$runner" --no-kafka --port 0 --lease-seconds 3 --create-table --store "$2" >>"$logs/$1" 2>&1 &
    until grep -q 'listens on' "$logs/$1"; do
        kill -0 $! 2>/dev/null || { cat "$logs/$1" >&2; exit 1; }
        sleep 0.1
    done
    printf -v "pid_$1" '%s' $!
    printf -v "$1" '%s' "$(grep -o 'http://[0-9.:]*' "$logs/$1" | head -1)"
}

send() { # send ADDRESS TEXT [TASK]: a message, answered at once with its task
    jq -n --arg text "$2" --arg task "${3:-}" '{
        message: ({messageId: "m", role: "ROLE_USER", parts: [{text: $text}]} + if $task == "" then {} else {taskId: $task} end),
        configuration: {returnImmediately: true}}' |
        curl -sS "$1/message:send" -H 'Content-Type: application/json' -d @-
}
task() { curl -sS "$1/tasks/$2" | jq -r '"\(.status.state) \([.artifacts[]?.parts[].text] | add // "")"'; }
stream() { curl -sSN "$1/tasks/$2:subscribe" ${3:+-H "Last-Event-ID: $3"}; }

(($#)) || set -- dynamodb redis postgres
for store; do
    echo "== $store"
    start A "$(url "$store")"
    start B "$(url "$store")"

    id=$(send "$A" 20 | jq -r .task.id)
    echo "A began $id; B shows it: $(task "$B" "$id")"
    seen=$(stream "$A" "$id" | sed -n '/^id:/{s/id: *//p}' | sed -n '4{p;q}')
    echo "A streamed up to event $seen; B streams on:" \
        "$(stream "$B" "$id" "$seen" | sed -n 's/^data: *//p' | jq -r '.artifactUpdate.artifact.parts[0].text // empty' | tr -d '\n')"
    echo "B shows its end: $(task "$B" "$id")"

    id=$(send "$A" ask | jq -r .task.id)
    until [[ $(task "$B" "$id") == *INPUT_REQUIRED* ]]; do sleep 0.1; done
    send "$B" 3 "$id" >/dev/null
    until [[ $(task "$A" "$id") == *COMPLETED* ]]; do sleep 0.1; done
    echo "A asked, B was answered; A shows: $(task "$A" "$id")"

    id=$(send "$A" 'silent 60' | jq -r .task.id)
    until [[ $(task "$B" "$id") == *WORKING* ]]; do sleep 0.1; done
    sleep 1
    began=$(date +%s%N)
    curl -sS -X POST "$B/tasks/$id:cancel" -H 'Content-Type: application/json' -d '{}' >/dev/null
    until grep -q "$id is dropped" "$logs/A"; do sleep 0.01; done
    echo "B canceled; A's silent agent stopped after $((($(date +%s%N) - began) / 1000000)) ms"

    id=$(send "$A" 30 | jq -r .task.id)
    until grep -q "$id begins" "$logs/A"; do sleep 0.01; done
    { kill -KILL "$pid_A" && wait "$pid_A"; } 2>/dev/null || true
    began=$SECONDS
    until [[ $(task "$B" "$id") == *COMPLETED* ]]; do sleep 0.1; done
    echo "A was killed; B did its work after $((SECONDS - began)) s: $(grep -o 'begins, attempt.*' "$logs/B" | tail -1)"
    kill $(jobs -p) 2>/dev/null || true
    wait
done
