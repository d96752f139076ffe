#!/usr/bin/env perl
# Runs test programs one after the other and adds up what they print.
#
#   suite.pl [PART:COMMAND...]     PART names the program in the summary
#
# Every program speaks TAP (cmocka with CMOCKA_MESSAGE_OUTPUT=tap, Test::More,
# node --test).  What passes is one line; what fails is shown whole.  A program
# that ends with an error, before its plan is done, or not within the limit, is
# a failure even when no test said so.  What the sanitizers wrote into
# $WAGW_REPORTS is one failure each.  The last line is the total of all.

use strict;
use warnings;
use File::Temp qw(tempfile);
use IO::Handle;
use POSIX qw(setpgid);
use Time::HiRes qw(time);

my $LIMIT = $ENV{WAGW_TEST_LIMIT} || 600;

STDOUT->autoflush(1);
$ENV{CMOCKA_MESSAGE_OUTPUT} = 'tap';

my %sum = (passed => 0, failed => 0, skipped => 0);
my @bad;

for my $arg (@ARGV) {
    my ($name, $command) = split /:/, $arg, 2;
    my $began = time;
    my ($passed, $failed, $skipped) = run($name, $command);

    $sum{passed}  += $passed;
    $sum{failed}  += $failed;
    $sum{skipped} += $skipped;
    push @bad, $name if $failed;
    printf "%-34s %5d passed, %d failed%s  (%.1f s)\n", $name, $passed, $failed,
        $skipped ? ", $skipped skipped" : '', time - $began;
}

for my $report (glob(($ENV{WAGW_REPORTS} || '/nonexistent') . '/*')) {
    open my $f, '<', $report or next;
    my @lines = <$f>;
    next if !@lines;
    print "$report:\n", map { "  | $_" } @lines;
    push @bad, $report;
    $sum{failed}++;
}

print "failed: @bad\n" if @bad;
printf "%d passed, %d failed%s\n", @sum{qw(passed failed)}, $sum{skipped} ? ", $sum{skipped} skipped" : '';
exit($sum{failed} || !$sum{passed} ? 1 : 0);

sub run {
    my ($name, $command) = @_;
    my ($plan, $seen, $skip_all) = (0, 0, 0);
    my %n = (passed => 0, failed => 0, skipped => 0);
    my %node;
    my ($status, @out) = output($command);

    for my $line (@out) {
        if ($line =~ /^1\.\.(\d+)(\s*#\s*skip)?/i) {
            $plan += $1;
            $skip_all = 1 if $2;
        } elsif ($line =~ /^(not )?ok\b(.*)/) {
            my ($not, $rest) = ($1, $2);

            $seen++;
            if ($rest =~ /#\s*skip/i) {
                $n{skipped}++;
            } elsif ($not && $rest !~ /#\s*todo/i) {
                $n{failed}++;
            } else {
                $n{passed}++;
            }
        } elsif ($line =~ /^# (pass|fail|cancelled|skipped|todo) (\d+)$/) {
            $node{$1} = $2;
        } elsif ($line =~ /^vectors /) {
            print "  $line";
        }
    }

    # node counts the tests inside of suites too
    if (defined $node{pass}) {
        %n = (
            passed  => $node{pass} + ($node{todo} || 0),
            failed  => ($node{fail} || 0) + ($node{cancelled} || 0),
            skipped => $node{skipped} || 0,
        );
    }
    $n{skipped}++ if $skip_all;
    if ($status && !$n{failed}) {
        push @out, sprintf "# %s ended with %s\n", $name,
            $status & 127 ? 'signal ' . ($status & 127) : 'status ' . ($status >> 8);
        $n{failed}++;
    } elsif (!$skip_all && ($plan == 0 || $seen != $plan) && !$n{failed}) {
        push @out, "# $name: plan of $plan tests, $seen seen\n";
        $n{failed}++;
    }
    print map { "  | $_" } @out if $n{failed};
    return @n{qw(passed failed skipped)};
}

# Status and lines of a command.  It has a process group of its own, which ends
# with it: what a broken test left running neither holds us up nor stays.
sub output {
    my $command = shift;
    my ($file, $name) = tempfile(UNLINK => 1);
    my $late;

    my $pid = fork;
    defined $pid or die "fork: $!\n";
    if ($pid == 0) {
        setpgid(0, 0);
        open STDIN,  '<', '/dev/null';
        open STDOUT, '>&', $file;
        open STDERR, '>&', $file;
        exec '/bin/sh', '-c', $command or die "cannot start $command: $!\n";
    }
    setpgid($pid, $pid);
    local $SIG{ALRM} = sub {
        $late = 1;
        kill KILL => -$pid;
    };
    local $SIG{INT} = sub {
        kill TERM => -$pid;
        exit 130;
    };
    alarm $LIMIT;
    1 while waitpid($pid, 0) == -1 && $!{EINTR};
    my $status = $?;
    alarm 0;
    kill TERM => -$pid;

    seek $file, 0, 0;
    open my $in, '<', $name or die "$name: $!\n";
    my @lines = <$in>;
    push @lines, "# not done within $LIMIT s\n" if $late;
    return ($status, @lines);
}
