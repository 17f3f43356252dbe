# Several databases of one server: each has workers of its own, as far as
# trigger_engine.databases names it and trigger_engine.max_databases leaves room, and
# nobody sends what belongs to another.
use strict;
use warnings;

use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new(
	extension => 0,
	conf => { 'trigger_engine.databases' => 'shop, "Odd, name"', 'trigger_engine.max_databases' => 3 });
my $receiver = $te->receiver;
my %path = (shop => '/shop', 'Odd, name' => '/odd', third => '/third');
my %db;

for my $name (sort keys %path)
{
	$te->sql(qq{CREATE DATABASE "$name"});
	$db{$name} = $te->in($name);
	$db{$name}->sql('CREATE EXTENSION trigger_engine');
	$db{$name}->webhook('hook', $receiver->url($path{$name}));
	$db{$name}->journey('welcome', content => '{"body": "{{ user.user_id }}"}');
}
sub users_at { return join ' ', sort map { $_->{body} =~ /"body": ?"([^"]*)"/ } $receiver->received($_[0]) }
sub served
{
	return $te->sql(q{SELECT coalesce(string_agg(DISTINCT datname, ', ' ORDER BY datname), '') FROM pg_stat_activity WHERE backend_type LIKE 'trigger_engine%' AND datname IS NOT NULL});
}

# Changes settings and has the server read them.
sub reload_with
{
	my (%settings) = @_;
	$te->sql(join '', map { "ALTER SYSTEM SET $_ = " . $te->quote($settings{$_}) . ';' } sort keys %settings);
	$te->sql('SELECT pg_reload_conf()');
	return;
}

# ---- a list ----

ok($db{$_}->wait_for_worker, "$_ is named and has workers") for 'shop', 'Odd, name';
$db{$_}->events(20, 'cart', prefix => substr $_, 0, 1) for sort keys %db;
ok($db{$_}->idle, "the queue of $_ drains") for 'shop', 'Odd, name';
is(users_at('/shop'), join(' ', sort map { "s$_" } 1 .. 20), 'one sends what is its own');
is(users_at('/odd'), join(' ', sort map { "O$_" } 1 .. 20), 'and so does the other');
is(served(), 'Odd, name, shop', 'nobody else is served');
like($db{third}->sql(q{SELECT state || ' ' || reason FROM trigger_engine.worker_status WHERE worker = 'delivery 0'}),
	qr/^absent .*trigger_engine.databases does not name this database/, 'a database that is not named says so');
is($db{third}->sql(q{SELECT count(*) FROM trigger_engine.sends WHERE state = 'due'}), 20, 'its messages wait');
is($db{shop}->sql(q{SELECT string_agg(DISTINCT database, ',') FROM trigger_engine.worker_status}), 'shop', 'worker_status shows the own database only');

# ---- it changes ----

reload_with('trigger_engine.databases' => 'third, shop');
ok($db{third}->wait_for_worker, 'a database that is named now gets workers');
ok($db{third}->idle, 'its queue drains');
is(users_at('/third'), join(' ', sort map { "t$_" } 1 .. 20), 'what waited is sent');
ok(TriggerEngine::wait_until(sub { return served() eq 'shop, third' }), 'the one that is not any more loses its workers');
$db{'Odd, name'}->event('waits', 'cart');
reload_with('trigger_engine.databases' => 'shop, "');
ok($db{shop}->poll(q{SELECT reason ~ 'is not a list of names' FROM trigger_engine.worker_status WHERE worker = 'launcher'}), 'a list that is none is complained about');
reload_with('trigger_engine.databases' => '*');
ok($db{'Odd, name'}->wait_for_worker, 'a star means all');
ok($db{'Odd, name'}->idle, 'the queue drains');
like(users_at('/odd'), qr/waits/, 'what waited is sent');
is(served(), 'Odd, name, shop, third', 'databases without the extension have no workers');

# ---- a new one, without room ----

$te->sql('CREATE DATABASE fourth');
my $fourth = $te->in('fourth');
$fourth->sql('CREATE EXTENSION trigger_engine');
$fourth->webhook('hook', $receiver->url('/fourth'));
$fourth->journey('welcome', content => '{"body": "{{ user.user_id }}"}');
$fourth->event('f1', 'cart');
ok($fourth->poll(q{SELECT reason ~ 'all slots are taken' FROM trigger_engine.worker_status WHERE worker = 'launcher'}), 'too many databases: the launcher says so');
like($fourth->sql(q{SELECT reason FROM trigger_engine.worker_status WHERE worker = 'delivery 0'}), qr/see the launcher/, 'and the database points there');
ok(TriggerEngine::wait_until(sub { return $te->log_since =~ /HINT:  Raise trigger_engine.max_databases/ }), 'the log says what to do');
$te->sql('DROP DATABASE third');
reload_with('trigger_engine.max_in_flight' => 900);
ok($fourth->wait_for_worker, 'when there is room again it gets workers');
ok($fourth->idle, 'the queue drains');
is(users_at('/fourth'), 'f1', 'what waited is sent');
ok($fourth->poll(q{SELECT reason IS NULL FROM trigger_engine.worker_status WHERE worker = 'launcher'}), 'the complaint is gone');

# ---- templates and databases that take no connections ----

$te->sql('ALTER DATABASE fourth IS_TEMPLATE true');
ok(TriggerEngine::wait_until(sub { return served() eq 'Odd, name, shop' }), 'a template has no workers');
$te->sql('ALTER DATABASE fourth IS_TEMPLATE false');
ok($fourth->wait_for_worker, 'it gets them back');
$te->sql('ALTER DATABASE fourth ALLOW_CONNECTIONS false');
ok(TriggerEngine::wait_until(sub { return served() eq 'Odd, name, shop' }), 'a database that takes no connections has none');
$te->sql('ALTER DATABASE fourth ALLOW_CONNECTIONS true');
ok($fourth->wait_for_worker, 'it gets them back');

# ---- settings of a database do not bend the worker's statements ----

$te->sql(q{ALTER DATABASE fourth SET search_path = ''; ALTER DATABASE fourth SET statement_timeout = '1ms'; ALTER DATABASE fourth SET TimeZone = 'Asia/Tokyo';
ALTER DATABASE fourth SET default_transaction_isolation = 'serializable'; ALTER DATABASE fourth SET session_replication_role = replica; ALTER DATABASE fourth SET DateStyle = 'SQL, DMY'});
{
	local $ENV{PGOPTIONS} = '-c statement_timeout=0 -c session_replication_role=origin -c default_transaction_isolation=read\\ committed';

	$fourth->sql('SELECT trigger_engine.stop_workers(); SELECT trigger_engine.start_workers()');
	$fourth->event('f2', 'cart');
}
ok(TriggerEngine::wait_until(sub { return users_at('/fourth') eq 'f1 f2' }), 'settings of a database do not disturb its worker');
$te->sql('ALTER DATABASE fourth RESET ALL; ALTER DATABASE fourth SET default_transaction_read_only = on');
$fourth->sql(q{SELECT trigger_engine.stop_workers(); SELECT trigger_engine.start_workers()});
ok($fourth->poll(q{SELECT count(*) > 0 FROM trigger_engine.worker_status WHERE worker = 'delivery 0' AND state = 'idle' AND reason ~ 'default_transaction_read_only'}),
	'default_transaction_read_only makes it idle, with the reason');

unlike($te->log_since, qr/TRAP|PANIC|terminated by signal/, 'nothing crashed');
done_testing();
