#!/usr/bin/env bash
# Two accounts of the sandbox, one linked by QR and one by code, a message each
# way, and the webhooks of both.  Needs `make run SANDBOX=1`.
set -euo pipefail
cd "$(dirname "$0")/.."

state=$(realpath -m "${WAGW_STATE:-.wagw}")
url=${WAGW_URL:-http://127.0.0.1:${WAGW_PORT:-8080}}
key=${WAGW_KEY:-$(cat "$state/api-key")}
info=$state/sandbox/sandbox.json
[ -s "$info" ] || { echo 'No sandbox here: start with make run SANDBOX=1' >&2; exit 1; }
admin="https://127.0.0.1:$(jq .adminPort "$info")/admin"
work=$(mktemp -d)

# a call of the gateway: its data, or its error and the end
api() {
    local answer
    answer=$(curl -sS --max-time 60 -X "$1" -H "X-API-Key: $key" -H 'Content-Type: application/json' \
        ${3:+--data "$3"} "$url$2")
    if [ "$(jq .success <<< "$answer")" != true ]; then
        echo "$1 $2: $answer" >&2
        exit 1
    fi
    jq -c .data <<< "$answer"
}

# the simulated phones
phone() { curl -sS --fail-with-body --max-time 60 --cacert "$state/sandbox/sandbox.pem" "$admin$1" --data "$2"; }

# until the receiver has shown it
wait_for() {
    for _ in $(seq 300); do
        grep -q "$1" "$work/events" && return
        sleep 0.1
    done
    echo "No webhook \"$1\" came:" >&2
    cat "$work/events" >&2
    exit 1
}

node examples/receiver.mjs 0 a-secret-of-the-example > "$work/events" &
receiver=$!
trap 'kill $receiver; rm -rf "$work"' EXIT
wait_for '^http'
hook=$(head -1 "$work/events")

create() {
    api POST /api/instance/create "$(jq -cn --arg name "$1" --arg hook "$hook" \
        '{name: $name, webhookUrl: $hook, webhookSecret: "a-secret-of-the-example"}')" | jq -r .id
}

echo '== Anna is linked by QR'
anna=$(create Anna)
qr=$(api GET "/api/instance/$anna/qr" | jq -r .raw)
anna_phone=$(phone '/mock-phone/scan-qr?name=Anna' "$qr" | jq -r .phone)
wait_for 'session.status *Anna *connected'

echo '== Bert is linked by code'
bert=$(create Bert)
bert_phone=15550100199
code=$(api POST "/api/instance/$bert/pairing-code" "{\"phoneNumber\":\"$bert_phone\"}" | jq -r .pairingCode)
echo "   the phone is given $code"
phone /mock-phone/enter-code "{\"phone\":\"$bert_phone\",\"code\":\"${code/-/}\",\"wait\":20000}" > /dev/null
wait_for 'session.status *Bert *connected'

echo '== Anna writes to Bert'
api POST /api/message/send/text "{\"instanceId\":\"$anna\",\"to\":\"$bert_phone\",\"message\":\"Hello Bert\"}" | jq .
wait_for 'message.received *Bert .*Hello Bert'

echo '== Bert answers'
api POST /api/message/send/text "{\"instanceId\":\"$bert\",\"to\":\"$anna_phone\",\"message\":\"Hello Anna\"}" | jq .
wait_for 'message.received *Anna .*Hello Anna'

echo '== The webhooks'
tail -n +2 "$work/events"

echo '== The chat as Anna has it'
api GET "/api/message/chat/$anna/$bert_phone" | jq -r 'reverse[] | "\(.from | sub("@.*"; "")): \(.body)"'
