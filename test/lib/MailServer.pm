
=pod

=head1 NAME

MailServer - a mail server that keeps what it gets, and misbehaves when told to

=head1 SYNOPSIS

  my $server = MailServer->new(dir => $te->node->basedir, user => 'shop', password => 'secret');
  $te->sql(... $server->url ...);
  my @mails = $server->mails;      # hashes: from, to, data, connection, auth

It says what a recipient's local part asks for:

  rcpt-550-5.1.1@x     RCPT is answered with "550 5.1.1 as told"
  mail-451-4.3.0@x     the reply to the whole message
  basic-550@x          RCPT is answered with "550 as told", without an enhanced code
  cutdata@x            the connection is cut in place of the reply to the message
  hang@x               no reply to the message
  drop@x               the connection is cut in place of the reply to RCPT
  mailfrom-550-5.7.1@x not asked for by a recipient: MAIL FROM such an address is refused

=cut

package MailServer;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use MIME::Base64;
use Time::HiRes ();

sub new
{
	my ($class, %option) = @_;
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 128, Proto => 'tcp', ReuseAddr => 1)
	  or die "listen: $!";
	my $self = bless { %option, port => $listener->sockport, file => "$option{dir}/mail." . $listener->sockport }, $class;
	my $pid = fork // die "fork: $!";
	if ($pid == 0)
	{
		local $SIG{TERM} = sub { require POSIX; POSIX::_exit(0) };
		$self->serve($listener);
		require POSIX;
		POSIX::_exit(0);
	}
	$self->{pid} = $pid;
	$self->{owner} = $$;
	return $self;
}

sub url { my ($self) = @_; return "smtp://127.0.0.1:$self->{port}/client.test" }

sub DESTROY
{
	my ($self) = @_;
	return unless $self->{pid} and $self->{owner} == $$;
	local ($?, $!);
	kill 'TERM', $self->{pid};
	waitpid $self->{pid}, 0;
	return;
}

# What came so far, in the order of its arrival.
sub mails
{
	my ($self) = @_;
	open my $file, '<:raw', $self->{file} or return;
	local $/;
	my $all = <$file>;
	my @mails;
	while ($all =~ /\G(\d+) /gc)
	{
		my $record = substr $all, pos $all, $1;
		pos($all) += $1;
		my %mail;
		@mail{qw(from to auth connection data)} = split /\0/, $record, 5;
		push @mails, \%mail;
	}
	return @mails;
}

sub serve
{
	my ($self, $listener) = @_;
	my $select = IO::Select->new($listener);
	my (%state, $count);

	while (1)
	{
		for my $socket ($select->can_read)
		{
			if ($socket == $listener)
			{
				my $client = $listener->accept or next;
				$select->add($client);
				$state{$client} = { in => '', number => ++$count, auth => '' };
				syswrite $client, "220 mail.test ESMTP\r\n";
				next;
			}
			my $state = $state{$socket};
			my $got = sysread $socket, $state->{in}, 65536, length $state->{in};
			if (!$got or !$self->talk($socket, $state))
			{
				$select->remove($socket);
				delete $state{$socket};
				close $socket;
			}
		}
	}
	return;
}

# Answers what can be answered; false when the connection is to be closed.
sub talk
{
	my ($self, $socket, $state) = @_;
	my $say = sub { syswrite $socket, "$_[0]\r\n"; return 1 };

	while (1)
	{
		if ($state->{data})
		{
			return 1 unless $state->{in} =~ s/\A(.*?\r\n)?\.\r\n//s;
			my $data = $1 // '';
			$state->{data} = 0;
			my $to = $state->{to};
			return 0 if $to =~ /^cutdata/;
			next if $to =~ /^hang/;
			if ($to =~ /^mail-(\d+)-([\d.]+)/) { $say->("$1 $2 as told"); next }
			my $record = join "\0", $state->{from}, $to, $state->{auth}, $state->{number}, $data;
			open my $file, '>>:raw', $self->{file} or die "$self->{file}: $!";
			syswrite $file, length($record) . " $record";
			close $file;
			$say->('250 2.0.0 Ok: queued as Q' . unpack 'H8', $to);
			next;
		}
		return 1 unless $state->{in} =~ s/\A(.*?)\r\n//;
		my $line = $1;
		if ($state->{login})
		{
			push @{ $state->{login} }, decode_base64($line);
			if (@{ $state->{login} } == 1) { $say->('334 UGFzc3dvcmQ6'); next }
			$self->check($state, $say, @{ $state->{login} });
			delete $state->{login};
		}
		elsif ($line =~ /^EHLO (\S+)/i)
		{
			$say->("250-mail.test\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME" . ($self->{user} ? "\r\n250-AUTH PLAIN LOGIN" : '') . "\r\n250 SIZE 30000000");
		}
		elsif ($line =~ /^AUTH PLAIN ?(\S*)/i)
		{
			if ($1 eq '') { $say->('334 '); $state->{plain} = 1; next }
			$self->check($state, $say, (split /\0/, decode_base64($1))[ 1, 2 ]);
		}
		elsif ($state->{plain}) { delete $state->{plain}; $self->check($state, $say, (split /\0/, decode_base64($line))[ 1, 2 ]) }
		elsif ($line =~ /^AUTH LOGIN/i) { $state->{login} = []; $say->('334 VXNlcm5hbWU6') }
		elsif ($line =~ /^MAIL FROM:<(.*?)>/i)
		{
			$state->{from} = $1;
			if ($1 =~ /^mailfrom-(\d+)-([\d.]+)/) { $say->("$1 $2 as told") }
			elsif ($self->{user} and !$state->{auth}) { $say->('530 5.7.0 authentication required') }
			else { $say->('250 2.1.0 Ok') }
		}
		elsif ($line =~ /^RCPT TO:<(.*?)>/i)
		{
			$state->{to} = $1;
			return 0 if $1 =~ /^drop/;
			$say->($1 =~ /^rcpt-(\d+)-([\d.]+)/ ? "$1 $2 as told" : $1 =~ /^basic-(\d+)/ ? "$1 as told" : '250 2.1.5 Ok');
		}
		elsif ($line =~ /^DATA/i) { $state->{data} = 1; $say->('354 go on') }
		elsif ($line =~ /^QUIT/i) { $say->('221 2.0.0 Bye'); return 0 }
		elsif ($line =~ /^(?:RSET|NOOP)/i) { $say->('250 2.0.0 Ok') }
		else { $say->('502 5.5.1 what?') }
	}
}

# Looks at a user and a password.
sub check
{
	my ($self, $state, $say, $user, $password) = @_;
	if (($user // '') eq $self->{user} and ($password // '') eq $self->{password})
	{
		$state->{auth} = $user;
		return $say->('235 2.7.0 welcome');
	}
	return $say->('535 5.7.8 who are you?');
}

1;
