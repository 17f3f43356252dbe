# shellcheck shell=bash
# sandbox.sh: a private copy of the server and of the sources, for tests, demo
# and bench. To be sourced by a bash script that has "set -u".
#
#   sandbox_create          makes the copy; sets SANDBOX, SANDBOX_SOURCE, SANDBOX_BIN,
#                           SANDBOX_SHARE, SANDBOX_PGXS, SANDBOX_USER, SANDBOX_PG_MAJOR
#   sandbox_build [DEFINE]  builds the copied sources and installs them into the copy
#   sandbox_run COMMAND...  runs a command as the sandbox's user, in the copied sources
#   sandbox_init_server DIR CONF...   makes a cluster in DIR and starts it;
#                           sets PGHOST, PGPORT, PGUSER, PGDATABASE
#   sandbox_remove          ends what runs in there and removes it; set as exit trap
#
# The sandbox belongs to a user other than root, because the server refuses root:
# to the caller, or to the user postgres when root calls. Server programs find
# their libraries and their share directory by their own place, so a copied tree
# is a server of its own and the installed one stays as it is.

SANDBOX=
SANDBOX_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
SANDBOX_JOBS=$(nproc 2>/dev/null || echo 1)

# Ends with a message, for what goes on without cannot.
sandbox_fail()
{
	echo "trigger_engine: $*" >&2
	exit 1
}

# Runs a command as the sandbox's user with an environment that names nothing
# outside the sandbox. The mark TE_SANDBOX lets sandbox_remove find what it started.
sandbox_run()
{
	local become=()

	if [ "$(id -u)" = 0 ]; then
		become=(setpriv --reuid="$SANDBOX_USER" --regid="$SANDBOX_USER" --init-groups --)
	fi
	(
		cd "$SANDBOX_SOURCE" || exit 1
		exec "${become[@]}" env -i \
			PATH="$SANDBOX_BIN:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin" \
			HOME="$SANDBOX/home" TMPDIR="$SANDBOX/tmp" USER="$SANDBOX_USER" LOGNAME="$SANDBOX_USER" \
			LC_ALL=C.UTF-8 TERM="${TERM:-dumb}" TE_SANDBOX="$SANDBOX" PG_CONFIG="$SANDBOX_PG_CONFIG" \
			PERL5LIB="$SANDBOX_PGXS/src/test/perl:$SANDBOX_SOURCE/test/lib" \
			PG_REGRESS="$SANDBOX_PGXS/src/test/regress/pg_regress" \
			TE_SHARED="${TE_SHARED:-$SANDBOX_ROOT/../shared}" \
			TESTDIR="$SANDBOX/tap" TESTDATADIR="$SANDBOX/tap/data" TESTLOGDIR="$SANDBOX/tap/log" \
			${PGHOST:+PGHOST="$PGHOST"} ${PGPORT:+PGPORT="$PGPORT"} \
			${PGUSER:+PGUSER="$PGUSER"} ${PGDATABASE:+PGDATABASE="$PGDATABASE"} \
			"$@"
	)
}

# Makes the directory, copies the server and the sources, sets the exit trap.
sandbox_create()
{
	local pg_config=${PG_CONFIG:-pg_config} dir share

	pg_config=$(command -v "$pg_config") ||
		sandbox_fail "pg_config not found; run \"make deps\" as root or set PG_CONFIG"
	SANDBOX_PG_CONFIG=$pg_config
	SANDBOX_PG_MAJOR=$("$pg_config" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
	[ -x "$("$pg_config" --bindir)/initdb" ] ||
		sandbox_fail "no server in $("$pg_config" --bindir); install postgresql-$SANDBOX_PG_MAJOR"
	[ -f "$("$pg_config" --pgxs)" ] ||
		sandbox_fail "no server headers; install postgresql-server-dev-$SANDBOX_PG_MAJOR"

	SANDBOX_USER=$(id -un)
	if [ "$(id -u)" = 0 ]; then
		SANDBOX_USER=postgres
		id postgres >/dev/null 2>&1 || sandbox_fail "the user postgres does not exist; install postgresql-$SANDBOX_PG_MAJOR"
	fi
	unset PGHOST PGPORT PGUSER PGDATABASE MAKEFLAGS MFLAGS MAKELEVEL

	SANDBOX=$(mktemp -d "${TMPDIR:-/tmp}/te.XXXXXX")
	trap sandbox_remove EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	SANDBOX_SOURCE=$SANDBOX/source
	mkdir "$SANDBOX_SOURCE" "$SANDBOX/home" "$SANDBOX/tmp" "$SANDBOX/tap"

	# bindir and pkglibdir may lie within each other's parent; copy each as it is
	for dir in "$("$pg_config" --bindir)" "$("$pg_config" --pkglibdir)"; do
		mkdir -p "$SANDBOX$dir"
		tar -C "$dir" --exclude=./bitcode --exclude='./trigger_engine.so' -cf - . | tar -C "$SANDBOX$dir" -xf -
	done
	share=$("$pg_config" --sharedir)
	mkdir -p "$SANDBOX$share"
	tar -C "$share" -h --exclude='./extension/trigger_engine*' -cf - . | tar -C "$SANDBOX$share" -xf -
	SANDBOX_BIN=$SANDBOX$("$pg_config" --bindir)
	SANDBOX_SHARE=$SANDBOX$share
	SANDBOX_PGXS=$SANDBOX$(dirname "$("$pg_config" --pgxs)" | sed 's,/src/makefiles$,,')

	tar -C "$SANDBOX_ROOT" --exclude=./.git --exclude='*.o' --exclude='*.bc' --exclude='*.so' \
		--exclude=./trigger_engine--*.sql --exclude=./results --exclude='./tmp_*' -cf - . |
		tar -C "$SANDBOX_SOURCE" --no-same-owner -xf -
	if [ "$(id -u)" = 0 ]; then
		chown -R "$SANDBOX_USER:" "$SANDBOX"
	fi
	chmod -R u+w "$SANDBOX_SOURCE"
	chmod 755 "$SANDBOX"
}

# Builds the copied sources and installs them into the copied server. The log
# stays in $SANDBOX/build.log; on failure its end is shown.
sandbox_build()
{
	if ! sandbox_run make -s -j"$SANDBOX_JOBS" with_llvm=no DEFINES="${1:-}" \
		DESTDIR="$SANDBOX" install >"$SANDBOX/build.log" 2>&1; then
		grep -E 'error|Error|warning|undefined' "$SANDBOX/build.log" | head -40 >&2
		tail -5 "$SANDBOX/build.log" >&2
		sandbox_fail "the build failed"
	fi
}

# Makes a cluster in DIR, adds the given files to its configuration, starts it.
sandbox_init_server()
{
	local data=$1 conf

	shift
	sandbox_run mkdir -p "$SANDBOX/socket"
	sandbox_run initdb -D "$data" -A trust -U postgres --no-sync --encoding=UTF8 --locale=C >"$SANDBOX/initdb.log" 2>&1 ||
		{ cat "$SANDBOX/initdb.log" >&2; sandbox_fail "initdb failed"; }
	{
		printf "listen_addresses = ''\nunix_socket_directories = '%s'\n" "$SANDBOX/socket"
		for conf in "$@"; do
			cat "$conf"
		done
	} | sandbox_run tee -a "$data/postgresql.conf" >/dev/null
	sandbox_run pg_ctl -D "$data" -l "$data.log" -w -s start </dev/null ||
		{ tail -20 "$data.log" >&2; sandbox_fail "the server did not start"; }
	export PGHOST=$SANDBOX/socket PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
}

# Processes that carry this sandbox's mark in their environment.
sandbox_processes()
{
	local proc

	for proc in /proc/[0-9]*; do
		if [ "$proc" != "/proc/$$" ] &&
			tr '\0' '\n' 2>/dev/null <"$proc/environ" | grep -qxF "TE_SANDBOX=$SANDBOX"; then
			echo "${proc#/proc/}"
		fi
	done 2>/dev/null
}

# Ends every server and helper that runs in the sandbox and removes it. Asks
# servers first, so that they free their shared memory.
sandbox_remove()
{
	local pid pids tries

	trap - EXIT
	trap '' INT TERM HUP
	[ -n "$SANDBOX" ] && [ -d "$SANDBOX" ] || return 0
	while read -r pid; do
		kill -QUIT "$(head -1 "$pid")" 2>/dev/null
	done < <(find "$SANDBOX" -name postmaster.pid 2>/dev/null)
	for tries in 1 2 3 4 5 6 7 8 9 10; do
		pids=$(sandbox_processes)
		[ -n "$pids" ] || break
		if [ "$tries" -ge 5 ]; then
			# shellcheck disable=SC2086
			kill -KILL $pids 2>/dev/null
		fi
		sleep 0.3
	done
	if [ -n "${KEEP:-}" ]; then
		echo "kept: $SANDBOX"
	else
		rm -rf "$SANDBOX"
	fi
}
