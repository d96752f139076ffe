#!/usr/bin/env bash
# Twelve kinds of messages from Anna to Bert, and for each what Bert's phone (of
# the sandbox) decrypted and what Bert's gateway stored; then a vote, a reaction
# and an answer back.  Needs `make run SANDBOX=1`.
set -euo pipefail
cd "$(dirname "$0")/.."

state=$(realpath -m "${WAGW_STATE:-.wagw}")
url=${WAGW_URL:-http://127.0.0.1:${WAGW_PORT:-8080}}
key=${WAGW_KEY:-$(cat "$state/api-key")}
info=$state/sandbox/sandbox.json
[ -s "$info" ] || { echo 'No sandbox here: start with make run SANDBOX=1' >&2; exit 1; }
admin="https://127.0.0.1:$(jq .adminPort "$info")/admin"

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
phone() { curl -sS --fail-with-body --max-time 60 --cacert "$state/sandbox/sandbox.pem" "$admin$1" ${2:+--data "$2"}; }

link() {
    local id qr
    id=$(api POST /api/instance/create "{\"name\":\"$1\"}" | jq -r .id)
    qr=$(api GET "/api/instance/$id/qr" | jq -r .raw)
    echo "$id $(phone "/mock-phone/scan-qr?name=$1" "$qr" | jq -r .phone)"
    for _ in $(seq 300); do
        [ "$(api GET "/api/instance/$id/status" | jq -r .status)" = connected ] && return
        sleep 0.1
    done
    echo "$1 does not connect" >&2
    exit 1
}

# until Bert's (or another's) gateway has it: the stored message
stored() {
    for _ in $(seq 300); do
        if curl -sS --fail --max-time 60 -H "X-API-Key: $key" "$url/api/message/$1/$2" 2> /dev/null | jq -c .data; then
            return
        fi
        sleep 0.1
    done
    echo "The message $2 did not arrive" >&2
    exit 1
}

count=0
last=
tour() {
    local body seen
    count=$((count + 1))
    body=$(jq -cn --arg i "$anna" --arg to "$bert_phone" "{instanceId: \$i, to: \$to} + $3")
    last=$(api POST "/api/message/send/$2" "$body" | jq -r .messageId)
    seen=$(phone "/mock-phone/inbox?phone=$bert_phone&id=$last&wait=20000" | jq -c '.[0].message | del(.messageContextInfo)')
    printf '%2d. %s\n' "$count" "$1"
    echo "    phone:   $(cut -c -150 <<< "$seen")"
    echo "    gateway: $(stored "$bert" "$last" | jq -c '{type, body, media, location, contacts, poll, event, list, buttons, quoted}
        | with_entries(select(.value != null and .value != ""))' | cut -c -150)"
}

echo '== Anna and Bert are linked'
read -r anna anna_phone <<< "$(link Anna)"
read -r bert bert_phone <<< "$(link Bert)"

echo '== Anna sends, Bert sees'
png=iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==
tour 'Text' text '{message: "Hello Bert"}'
first=$last
tour 'Reply' text "{message: \"and a second one\", quotedMessageId: \"$first\"}"
tour 'Image' image "{imageBase64: \"$png\", caption: \"one pixel\"}"
tour 'Document' file "{fileBase64: \"$(printf 'a file' | base64)\", fileName: \"note.txt\"}"
tour 'Location' location '{latitude: -6.1754, longitude: 106.8272, name: "Monas"}'
tour 'Live location' live-location '{latitude: -6.1754, longitude: 106.8272, caption: "on my way"}'
tour 'Contact' contact '{contactName: "Carla", contactNumber: "15550001111"}'
tour 'Poll' poll '{question: "Lunch?", options: ["Soup", "Salad"]}'
poll=$last
tour 'Event' event '{name: "Party", startTime: "2030-05-01T18:00:00Z", location: "Garden"}'
event=$last
tour 'List' list '{title: "Menu", buttonText: "Open", sections: [{title: "Hot", rows: [{title: "Soup", rowId: "s"}]}]}'
tour 'Buttons' buttons '{text: "Are you coming?", buttons: [{id: "y", text: "Yes"}, {id: "n", text: "No"}]}'
tour 'Text with the card of a link' link-preview \
    '{url: "https://nginx.org/", title: "nginx", description: "a web server", text: "Look at this"}'

echo '== Bert answers, Anna counts'
api POST /api/message/send/poll-vote \
    "{\"instanceId\":\"$bert\",\"pollMessageId\":\"$poll\",\"selectedOptions\":[\"Soup\"]}" > /dev/null
api POST "/api/events/$bert/$event/respond" "{\"chatId\":\"$anna_phone\",\"response\":\"going\"}" > /dev/null
api PUT /api/message/reaction \
    "{\"instanceId\":\"$bert\",\"chatId\":\"$anna_phone\",\"messageId\":\"$first\",\"emoji\":\"👍\"}" > /dev/null
for _ in $(seq 300); do
    [ "$(api GET "/api/message/$anna/$first/reactions")" = '[]' ] || break
    sleep 0.1
done
echo "    votes:     $(api GET "/api/message/$anna/$poll/votes" | jq -c 'map({(.option): .votes}) | add')"
echo "    event:     $(api GET "/api/message/$anna/$event/votes" | jq -c 'map({(.option): .votes}) | add')"
echo "    reactions: $(api GET "/api/message/$anna/$first/reactions" | jq -c 'map(.emoji)')"
echo "$count kinds of messages arrived."
