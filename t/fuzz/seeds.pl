#!/usr/bin/perl
# seeds.pl TARGET OUT: writes one file per seed of a fuzz target, taken from the
# golden vectors.  A target without an entry below gets every hex string of
# every vector file; t/fuzz/seeds/TARGET/ is added by fuzz.mk when it exists.

use strict;
use warnings;
use JSON::PP;

my ($target, $out) = @ARGV;
my $dir = $ENV{VECTORS} || 't/vectors';

# target => [[vector file, key of the hex string, byte(s) before it] ...]
my %sources = (
    (map { ($_ => []) } qw(rest frame headers outbound scan text)),
    raw => [],
    node => [
        ['binary-node', qr/^(encoded|raw)$/, ''],
        ['noise-handshake', qr/^plaintext$/, ''],
    ],
    noise => [
        ['noise-handshake', qr/^server_hello$/, "\0"],
        ['noise-handshake', qr/^chain$/, "\1"],
        ['noise-handshake', qr/^client_hello$/, "\2"],
        ['noise-handshake', qr/^client_finish$/, "\3"],
        ['noise-handshake', qr/^(client_hello_wire|frame)$/, "\4"],
    ],
    media => [
        ['media', qr/^(encrypted|plaintext)$/, "\1"],
        ['media-retry', qr/^enc_p$|^plaintextProto$/, "\2"],
        ['messages', qr/^encoded$/, "\3"],
    ],
    history => [
        ['history-sync', qr/^inlinePayload$/, "\0"],
        ['history-sync', qr/^messageProto$/, "\1"],
        ['history-sync', qr/^historySync$/, "\2"],
    ],
    client => [
        ['message-flows', qr/^(encoded|raw)$/, "\0"],
        ['binary-node', qr/^(encoded|raw)$/, "\0"],
        ['binary-node', qr/^(encoded|raw)$/, "\1"],
        ['messages', qr/^encoded$/, "\2"],
        ['messages', qr/^encoded$/, "\3"],
        ['history-sync', qr/^messageProto$/, "\2"],
        ['history-sync', qr/^historySync$/, "\5"],
    ],
    ws => [],
    appstate => [
        ['app-state', qr/^(syncdPatch|uploadPatch|patch|serverPatch)$/, "\0"],
        ['app-state', qr/^syncdSnapshot$/, "\1"],
        ['app-state', qr/^(snapshotRef|syncdPatch)$/, "\2"],
        ['app-state', qr/^syncdPatch$/, "\3"],
        ['app-state', qr/^syncActionData$/, "\4"],
    ],
);

my %seen;

sub emit {
    my ($bytes) = @_;
    return if length $bytes > 65536 || $seen{$bytes}++;
    my $path = sprintf '%s/vector-%04d', $out, scalar keys %seen;
    open my $f, '>:raw', $path or die "$path: $!\n";
    print $f $bytes;
    close $f or die "$path: $!\n";
}

sub walk {
    my ($value, $key, $want, $before) = @_;
    if (ref $value eq 'HASH') {
        walk($value->{$_}, $_ eq '$hex' ? $key : $_, $want, $before) for sort keys %$value;
    } elsif (ref $value eq 'ARRAY') {
        walk($_, $key, $want, $before) for @$value;
    } elsif (defined $value && !ref $value && $key =~ $want && $value =~ /^(?:[0-9a-f]{2})+$/) {
        emit($before . pack 'H*', $value);
    }
}

sub vectors {
    my ($path) = @_;
    open my $f, '<:raw', $path or return;
    local $/;
    return decode_json(<$f>);
}

my $sources = $sources{$target}
    || [map { [$_, qr/./, ''] } map { m{([^/]+)\.json$} } sort glob "$dir/*.json"];
for my $source (@$sources) {
    my ($file, $want, $before) = @$source;
    walk(vectors("$dir/$file.json"), '', $want, $before);
}
