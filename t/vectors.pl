#!/usr/bin/env perl
# Replays a directory of golden vectors: vectors.pl DIR BINARY...
#
# Prints `vectors NAME.json: N passed, N failed, N later` for each file that
# some unit test knows.  A file that none knows is reported and is none; a
# known file that nobody could count (not JSON, or the test died) has failed.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(basename);

my ($given, @binaries) = @ARGV;
my $dir = defined $given ? abs_path($given) : undef;

defined $dir && -d $dir or die 'usage: make vectors VECTORS=DIR, where DIR is a directory' . "\n";
$ENV{VECTORS} = $dir;

my %known = map { $_ => 1 } split ' ', $ENV{WAGW_VECTORS_KNOWN} || '';
my (%count, %later, @broken);

for my $binary (@binaries) {
    my @out = readpipe("$binary 2>&1");
    my $status = $?;
    my %here;

    for (@out) {
        push @{ $later{$1} }, $2 if /^later ([\w-]+)\.json: (.*?)\s*$/;
        next unless /^vectors ([\w-]+)\.json: (\d+) passed, (\d+) failed, (\d+) later/;
        $here{$1} = 1;
        $count{$1}[0] += $2;
        $count{$1}[1] += $3;
        $count{$1}[2] += $4;
    }
    push @broken, [$binary, $status, \@out] if $status;
}

my ($passed, $failed, $later) = (0, 0, 0);
for my $path (sort glob "$dir/*.json") {
    my $name = basename($path, '.json');
    my $c = $count{$name};

    if ($c) {
        printf "vectors %s.json: %d passed, %d failed, %d later\n", $name, map { $_ || 0 } @$c;
        $passed += $c->[0];
        $failed += $c->[1];
        $later  += $c->[2];
        print map { "    later: $_\n" } @{ $later{$name} || [] };
    } elsif ($known{$name}) {
        print "vectors $name.json: could not be counted, failed\n";
        $failed++;
    } else {
        print "vectors $name.json: no test knows this file\n";
    }
}

# a test may fail beside its vectors only when the files are what it expects
for my $b (@broken) {
    next unless $failed;
    print "$b->[0] ended with status ", $b->[1] >> 8, "\n";
    print map { "  | $_" } @{ $b->[2] };
}

print "$passed passed, $failed failed, $later later\n";
exit($failed || !($passed + $later) ? 1 : 0);
