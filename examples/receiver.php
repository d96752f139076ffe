<?php
// A small webhook receiver: checks the signature when it knows the secret,
// forgets repetitions, prints one line per event.
//
//   WAGW_SECRET=SECRET php -S 127.0.0.1:9090 examples/receiver.php
//
// Each request is a run of its own here, so what was seen is kept in files
// below WAGW_SEEN (a directory; by default one of the system's for files that
// may go).

$secret = getenv('WAGW_SECRET');
$seen = getenv('WAGW_SEEN') ?: sys_get_temp_dir() . '/wagw-seen';
$body = file_get_contents('php://input');

// X-Webhook-Signature is over "<timestamp>.<body>": a captured delivery gets old
function genuine(string $secret, string $body): bool
{
    $timestamp = $_SERVER['HTTP_X_WEBHOOK_TIMESTAMP'] ?? '';
    $given = $_SERVER['HTTP_X_WEBHOOK_SIGNATURE'] ?? '';
    $expected = 'sha256=' . hash_hmac('sha256', "$timestamp.$body", $secret);
    return hash_equals($expected, $given) && ctype_digit($timestamp) && abs(time() - (int) $timestamp) < 300;
}

function line(array $event): string
{
    $data = $event['data'];
    switch ($event['event']) {
        case 'session.status':
            return $data['status'];
        case 'message.received':
            return 'from ' . ($data['pushName'] ?: $data['from']) . ': ' . $data['body'];
        case 'message.sent':
            return "to {$data['to']}: {$data['body']}";
        case 'message.ack':
            return "{$data['messageId']} {$data['ackName']}";
        default:
            return json_encode($data);
    }
}

if ($_SERVER['REQUEST_METHOD'] !== 'POST' || ($secret && !genuine($secret, $body))) {
    http_response_code(401);
    return true;
}

@mkdir($seen, 0700);
$given = json_decode($body, true);
foreach (($given['batch'] ?? false) ? $given['events'] : [$given] as $event) {
    // delivered at least once: the id makes it exactly once
    $mark = @fopen("$seen/" . hash('sha256', $event['id']), 'x');
    if ($mark === false) {
        continue;
    }
    fclose($mark);
    file_put_contents(
        'php://stderr',
        sprintf("%-17s %s  %s\n", $event['event'], $event['instanceName'], line($event))
    );
}
http_response_code(200);
