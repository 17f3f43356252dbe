# With trigger_engine.drain_timeout = 0 a worker that is told to stop waits for no
# answer, but leaves in order: what it had under way is no step towards quarantine.
use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);
use TriggerEngine;

my $te = TriggerEngine->new(conf => { 'trigger_engine.drain_timeout' => '0' });
my $receiver = $te->receiver;
$te->webhook('hook', $receiver->url('/hook'), timeout => '60 s');
$te->journey('slow', event => 'slow');
$receiver->mode('/hook', 'hang');
$te->event('u1', 'slow');
ok($receiver->wait_for(1), 'a message is at a receiver that does not answer');

my $longest = 0;
for my $time (1 .. 4)
{
	my $began = time;
	is($te->sql('SELECT trigger_engine.stop_workers()'), 't', "stop $time: the workers leave");
	$longest = time - $began if time - $began > $longest;
	is($te->sql('SELECT crashes FROM trigger_engine._batches'), '{-1}', 'in order');
	$te->sql('SELECT trigger_engine.start_workers()');
	ok($receiver->wait_for(1 + $time), 'and the message goes again');
	is($te->sql('SELECT state FROM trigger_engine.sends'), 'claimed', 'it is not taken for poison');
}
cmp_ok($longest, '<', 5, 'nobody waits for the answer');
$te->sql('SELECT trigger_engine.stop_workers()');
$receiver->mode('/hook', 'ok');
$te->sql('SELECT trigger_engine.start_workers()');
ok($te->poll(q{SELECT state = 'accepted' FROM trigger_engine.sends}), 'in the end it is answered');
my %seen = $receiver->count_ids;
is(scalar keys %seen, 1, 'under one identity all the time');

# a fast shutdown of the server, too
$receiver->mode('/hook', 'hang');
my $before = $receiver->count;
$te->event('u2', 'slow');
ok($receiver->wait_for($before + 1), 'a message is under way at a fast shutdown');
$te->node->stop('fast');
$te->node->start;
ok($receiver->wait_for($before + 2), 'after which it goes again');
is($te->sql('SELECT crashes FROM trigger_engine._batches'), '{0}', 'no crash was counted either');

done_testing();
