# A MariaDB server on libaio, in the current directory: makes its data, loads rows, reads them back
# after a restart. Prints the same line twice: number and sum of the rows.
set -eu
PATH=$PATH:/usr/sbin:/sbin

cat >my.cnf <<END
[mysqld]
datadir=$PWD/data
socket=$PWD/socket
pid-file=$PWD/pid
log-error=$PWD/log.err
skip-networking
skip-log-bin
innodb-use-native-aio=1
innodb-buffer-pool-size=8M
innodb-flush-method=O_DIRECT
END
[ "$(id -u)" != 0 ] || echo 'user=root' >>my.cnf
# Versions that know io_uring would take that.
if mariadbd --no-defaults --verbose --help 2>/dev/null | grep -q '^innodb-linux-aio'; then
	echo 'innodb-linux-aio=aio' >>my.cnf
fi

server=
# Whatever fails, no server stays.
trap '[ -z "$server" ] || kill -9 $server 2>/dev/null || true' EXIT

ask() {
	mariadb --no-defaults --user=root --socket="$PWD/socket" --batch --skip-column-names -e "$1"
}

serve() {
	mariadbd --defaults-file="$PWD/my.cnf" &
	server=$!
	tries=0
	until ask 'SELECT 1' >/dev/null 2>&1; do
		tries=$((tries + 1))
		if [ $tries -gt 300 ] || ! kill -0 $server; then
			cat log.err >&2
			exit 1
		fi
		sleep 0.1
	done
}

end() {
	ask SHUTDOWN
	wait $server
	server=
}

look='SELECT COUNT(*), SUM(CRC32(b)) FROM test.rows'
mariadb-install-db --defaults-file="$PWD/my.cnf" --auth-root-authentication-method=normal >install.log 2>&1 ||
	{ cat install.log >&2; exit 1; }
serve
ask 'CREATE DATABASE IF NOT EXISTS test;
     USE test;
     CREATE TABLE test.rows (a INT PRIMARY KEY, b VARCHAR(200)) ENGINE=InnoDB;
     INSERT INTO test.rows SELECT seq, REPEAT(CHAR(97 + seq % 26), 200) FROM seq_1_to_50000;'
ask "$look"
end
serve
ask "$look"
ask 'CHECK TABLE test.rows' | grep -q 'OK$'
end
grep -q 'Using Linux native AIO' log.err
