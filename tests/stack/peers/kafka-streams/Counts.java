import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.RocksDBConfigSetter;
import org.apache.kafka.streams.state.WindowStore;
import org.rocksdb.BlockBasedTableConfig;
import org.rocksdb.Cache;
import org.rocksdb.LRUCache;
import org.rocksdb.Options;
import org.rocksdb.WriteBufferManager;

/**
 * Counts events by key in windows of five minutes, as `rowmill bench windows` does, reads the topic to where it ended at the start, and
 * prints one JSON object with what that took. `local` is `tuned` without the changelog: the state is on this machine's disk alone, as Rowmill's is.
 * Arguments: BROKERS TOPIC OUTPUT STATE tumbling|hopping tuned|local|default [PROPERTY=VALUE...]
 */
public final class Counts {
  record Event(long at, String query) {}

  record Counted(long start, long end, String query, long count) {}

  static final ObjectMapper JSON = new ObjectMapper().configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false);
  static final ObjectReader EVENT = JSON.readerFor(Event.class);
  static final ObjectWriter COUNTED = JSON.writerFor(Counted.class);
  static final Duration SIZE = Duration.ofMinutes(5);
  static final Duration HOP = Duration.ofSeconds(30);
  static final Duration GRACE = Duration.ofSeconds(10);
  static final Duration RETENTION = Duration.ofHours(1);

  static final LongAdder processed = new LongAdder();
  static final AtomicLong firstRecordMillis = new AtomicLong();

  public static void main(String[] args) throws Exception {
    String brokers = args[0], input = args[1], output = args[2], state = args[3];
    boolean hopping = args[4].equals("hopping"), tuned = !args[5].equals("default"), local = args[5].equals("local");
    String application = "rowmill-bench-" + ProcessHandle.current().pid();
    Properties properties = settings(brokers, application, state, tuned);
    Stream.of(args).skip(6).map(arg -> arg.split("=", 2)).forEach(pair -> properties.put(pair[0], pair[1]));
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", brokers))) {
      Map<TopicPartition, Long> ends = ends(admin, input);
      // Its records are as old as the events: by default the broker would drop them before anyone compares the counts.
      NewTopic counts = new NewTopic(output, ends.size(), (short) 1).configs(Map.of("retention.ms", "-1"));
      admin.createTopics(List.of(counts)).all().get();
      long events = ends.values().stream().mapToLong(Long::longValue).sum();
      KafkaStreams streams = new KafkaStreams(topology(input, output, hopping, local), properties);
      streams.setUncaughtExceptionHandler(error -> {
        error.printStackTrace();
        return StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
      });
      streams.start();
      long stateMost = 0;
      for (int looks = 0; processed.sum() < events; looks++) {
        Thread.sleep(20);
        if (streams.state() == KafkaStreams.State.ERROR) System.exit(1);
        if (looks % 50 == 0) stateMost = Math.max(stateMost, bytes(Path.of(state)));
      }
      // Flushes the caches, waits for the producer, commits and closes the stores: nothing is left over for a next start.
      streams.close();
      long closed = System.currentTimeMillis();
      double cpu = cpuSeconds();
      var committed = admin.listConsumerGroupOffsets(application).partitionsToOffsetAndMetadata().get();
      ends.forEach((partition, end) -> {
        if (end > 0 && committed.get(partition).offset() != end) throw new IllegalStateException(partition + " is committed at " + committed.get(partition) + ", not at " + end);
      });
      long written = ends(admin, output).values().stream().mapToLong(Long::longValue).sum();
      long stateBytes = bytes(Path.of(state));
      double seconds = (closed - ManagementFactory.getRuntimeMXBean().getStartTime()) / 1000.0;
      Map<String, Object> figures = new LinkedHashMap<>();
      figures.put("events", events);
      figures.put("documents", written);
      figures.put("seconds", seconds);
      figures.put("seconds_from_first_record", (closed - firstRecordMillis.get()) / 1000.0);
      figures.put("cpu_seconds", cpu);
      figures.put("events_per_second", Math.round(events / seconds));
      figures.put("events_per_cpu_second", Math.round(events / cpu));
      figures.put("peak_memory_mib", peakMemoryKib() >> 10);
      figures.put("state_bytes", stateBytes);
      figures.put("state_bytes_most", Math.max(stateMost, stateBytes));
      System.out.println(JSON.writerWithDefaultPrettyPrinter().writeValueAsString(figures));
      // The changelog of a run is of no use to the next one.
      var ours = admin.listTopics().names().get().stream().filter(name -> name.startsWith(application)).toList();
      admin.deleteTopics(ours).all().get();
    }
  }

  static Topology topology(String input, String output, boolean hopping, boolean local) {
    var store = Materialized.<String, Long, WindowStore<Bytes, byte[]>>as("counts").withKeySerde(Serdes.String()).withValueSerde(Serdes.Long()).withRetention(RETENTION);
    TimeWindows windows = TimeWindows.ofSizeAndGrace(SIZE, GRACE);
    StreamsBuilder builder = new StreamsBuilder();
    builder.stream(input, Consumed.with(Serdes.String(), events()).withTimestampExtractor((record, before) -> {
          if (firstRecordMillis.get() == 0) firstRecordMillis.compareAndSet(0, System.currentTimeMillis());
          return ((Event) record.value()).at();
        }))
        .peek((query, event) -> processed.increment())
        .groupByKey(Grouped.with(Serdes.String(), events()))
        .windowedBy(hopping ? windows.advanceBy(HOP) : windows)
        .count(local ? store.withLoggingDisabled() : store)
        .toStream()
        .map((window, count) -> KeyValue.pair(window.window().start() + "|" + window.key(), counted(window.window().start(), window.key(), count)))
        .to(output, Produced.with(Serdes.String(), Serdes.ByteArray()));
    return builder.build();
  }

  static Properties settings(String brokers, String application, String state, boolean tuned) {
    Properties properties = new Properties();
    properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
    properties.put(StreamsConfig.APPLICATION_ID_CONFIG, application);
    properties.put(StreamsConfig.STATE_DIR_CONFIG, state);
    if (!tuned) return properties;
    properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, Runtime.getRuntime().availableProcessors());
    // Changes of a window are joined until the next commit, once a second: as emit_every = "1s" does.
    properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
    // 256 MiB of it fill a heap of 1 GiB: hopping windows took more than five times the CPU time then. 128 MiB with 2 GiB were no better than this.
    properties.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64L << 20);
    properties.put(StreamsConfig.ROCKSDB_CONFIG_SETTER_CLASS_CONFIG, SharedMemory.class);
    properties.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 5000);
    properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 5000);
    properties.put(StreamsConfig.producerPrefix(ProducerConfig.ACKS_CONFIG), "1");
    properties.put(StreamsConfig.producerPrefix(ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG), false);
    properties.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
    properties.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 100);
    properties.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
    properties.put(StreamsConfig.producerPrefix(ProducerConfig.BUFFER_MEMORY_CONFIG), 64L << 20);
    return properties;
  }

  /** One block cache and one budget for memtables in all stores and segments, as Kafka's documentation advises for bounded memory. */
  public static final class SharedMemory implements RocksDBConfigSetter {
    private static final Cache CACHE = new LRUCache(128L << 20);
    private static final WriteBufferManager MEMTABLES = new WriteBufferManager(64L << 20, CACHE);

    @Override
    public void setConfig(String store, Options options, Map<String, Object> configs) {
      BlockBasedTableConfig table = (BlockBasedTableConfig) options.tableFormatConfig();
      table.setBlockCache(CACHE);
      table.setCacheIndexAndFilterBlocks(true);
      options.setTableFormatConfig(table);
      options.setWriteBufferManager(MEMTABLES);
    }

    @Override
    public void close(String store, Options options) {}
  }

  static Map<TopicPartition, Long> ends(Admin admin, String topic) throws Exception {
    var partitions = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions();
    var asked = partitions.stream().collect(Collectors.toMap(info -> new TopicPartition(topic, info.partition()), info -> OffsetSpec.latest()));
    Map<TopicPartition, Long> ends = new HashMap<>();
    admin.listOffsets(asked).all().get().forEach((partition, found) -> ends.put(partition, found.offset()));
    return ends;
  }

  static Serde<Event> events() {
    return Serdes.serdeFrom((topic, event) -> { throw new UnsupportedOperationException("events are only read"); }, (topic, bytes) -> {
      try {
        return EVENT.readValue(bytes);
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    });
  }

  static byte[] counted(long start, String query, long count) {
    try {
      return COUNTED.writeValueAsBytes(new Counted(start, start + SIZE.toMillis(), query, count));
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  /** Fields 14 and 15 of `/proc/self/stat`, in hundredths of a second. */
  static double cpuSeconds() throws IOException {
    String stat = Files.readString(Path.of("/proc/self/stat"));
    String[] fields = stat.substring(stat.lastIndexOf(") ") + 2).split(" ");
    return (Long.parseLong(fields[11]) + Long.parseLong(fields[12])) / 100.0;
  }

  static long peakMemoryKib() throws IOException {
    String line = Files.readAllLines(Path.of("/proc/self/status")).stream().filter(found -> found.startsWith("VmHWM:")).findFirst().orElseThrow();
    return Long.parseLong(line.replaceAll("\\D", ""));
  }

  /** What the files of a folder occupy on the disk, more or less: files go while we look. */
  static long bytes(Path folder) {
    try (Stream<Path> paths = Files.walk(folder)) {
      return paths.mapToLong(path -> {
        try {
          return Files.isRegularFile(path) ? Files.size(path) : 0;
        } catch (IOException gone) {
          return 0;
        }
      }).sum();
    } catch (IOException | UncheckedIOException gone) {
      return 0;
    }
  }

  private Counts() {}
}
