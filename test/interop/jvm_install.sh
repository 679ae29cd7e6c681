# jvm_install.sh - have Spark and Trino below build/ (sourced by run --jvm).
#
# Spark comes as a Python package, Iceberg's runtime for it and Trino from Maven
# Central; some 1.5 GB are fetched the first time.  Spark runs on the machine's
# Java (17 or 21), Trino on one of 24 or newer, named by LH_JAVA_TRINO or found
# among the usual places.

JVM_ICEBERG=iceberg-spark-runtime-4.1_2.13:1.11.0
JVM_TRINO=476

java_major() { "$1/bin/java" -version 2>&1 | sed -n '1s/.*version "\([0-9]*\).*/\1/p'; }

find_trino_java() {
	local home
	for home in "${LH_JAVA_TRINO:-}" "${JAVA_HOME:-}" /usr/lib/jvm/* /opt/jdk*; do
		if [ -n "$home" ] && [ -x "$home/bin/java" ] && [ "$(java_major "$home")" -ge 24 ]; then
			LH_JAVA_TRINO=$home
			return 0
		fi
	done
	return 1
}

install_spark() {
	local jar=$LH_BUILD/jvm/${JVM_ICEBERG/:/-}.jar
	if ! cmp -s test/lib/requirements-jvm.txt "$LH_BUILD/venv-jvm/.installed"; then
		say "interop-jvm: installing Spark"
		python3 -m venv "$LH_BUILD/venv-jvm"
		nice "$LH_BUILD/venv-jvm/bin/pip" install -q --disable-pip-version-check -r test/lib/requirements-jvm.txt
		cp test/lib/requirements-jvm.txt "$LH_BUILD/venv-jvm/.installed"
	fi
	[ -e "$jar" ] || nice mvn -q -B dependency:copy -Dartifact="org.apache.iceberg:$JVM_ICEBERG" -DoutputDirectory="$LH_BUILD/jvm"
}

# The tarball has hard links from plugin to plugin, so all of it is unpacked
# before the plugins that nobody asks for go.
install_trino() {
	local name=trino-server-$JVM_TRINO work=$LH_BUILD/jvm/unpacking
	[ ! -e "$LH_BUILD/jvm/$name" ] || return 0
	say "interop-jvm: installing Trino"
	rm -rf "$work"
	mkdir -p "$work"
	nice mvn -q -B dependency:copy -Dartifact="io.trino:trino-server:$JVM_TRINO:tar.gz" -DoutputDirectory="$work"
	nice tar -xzf "$work/$name.tar.gz" -C "$work"
	find "$work/$name/plugin" -mindepth 1 -maxdepth 1 ! -name iceberg -exec rm -rf {} +
	mv "$work/$name" "$LH_BUILD/jvm/"
	rm -rf "$work"
}

install_jvm() {
	command -v java >/dev/null && command -v mvn >/dev/null ||
		die "interop-jvm: needs Java 17 and Maven (apt-get install openjdk-17-jdk-headless maven)"
	if wanted jvm_trino; then
		find_trino_java || die "interop-jvm: Trino $JVM_TRINO needs Java 24 or newer; say where it is with LH_JAVA_TRINO=<its home>, or leave it out with TESTS=jvm_spark"
		export LH_JAVA_TRINO
	fi
	mkdir -p "$LH_BUILD/jvm"
	exec 7>"$LH_BUILD/jvm/.lock"
	flock 7
	install_spark
	! wanted jvm_trino || install_trino
	exec 7>&-
}
