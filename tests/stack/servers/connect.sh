# Kafka Connect (one distributed worker) with Debezium's connector for Postgres.
# shellcheck shell=bash
debezium_version=3.7.0.Final
connect_plugins=$stack/debezium-postgres-$debezium_version

connect_fetch() {
  kafka_fetch
  fetch_once "debezium-postgres-$debezium_version" connect_download
}
connect_download() {
  maven "$maven_dependency:unpack" -Dartifact="io.debezium:debezium-connector-postgres:$debezium_version:tar.gz:plugin" -DoutputDirectory="$1"
}

connect_start() {
  cat >"$run/connect/connect.properties" <<P
bootstrap.servers=127.0.0.1:$(port kafka)
group.id=connect
listeners=http://127.0.0.1:$(port connect)
rest.advertised.host.name=127.0.0.1
plugin.path=$connect_plugins
# The other ways scan every jar: 24 s and 800 MiB instead of 8 s and 300 MiB.
plugin.discovery=service_load
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
config.storage.topic=connect-configs
config.storage.replication.factor=1
offset.storage.topic=connect-offsets
offset.storage.replication.factor=1
offset.storage.partitions=1
status.storage.topic=connect-status
status.storage.replication.factor=1
status.storage.partitions=1
offset.flush.interval.ms=1000
scheduled.rebalance.max.delay.ms=0
P
  # Started together with a fresh broker, it asks until the broker answers.
  spawn connect "$(kafka_java)" -Xmx"${STACK_HEAP_CONNECT:-384m}" $jvm -XX:+ExitOnOutOfMemoryError \
    -Dlog4j2.configurationFile="$here/log4j2.properties" -cp "$kafka_home/*" \
    org.apache.kafka.connect.cli.ConnectDistributed "$run/connect/connect.properties"
}

connect_ready() { curl -fs --max-time 5 "$(connect_url)/connectors"; }
connect_url() { echo "http://127.0.0.1:$(port connect)"; }
