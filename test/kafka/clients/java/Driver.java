import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.AppInfoParser;

/**
 * Drives Kafka's own clients: requests as JSON lines on standard input, an answer each on standard output. The package
 * clients, in Go, describes the requests.
 */
public class Driver {
    static final int LIMIT = 60; // seconds; ends an operation that hangs, and is far above what any of them takes
    static final ObjectMapper json = new ObjectMapper();
    static final PrintStream out = System.out;

    interface Operation {
        ObjectNode run(JsonNode r) throws Exception;
    }

    interface Managed {
        void run(Admin a, JsonNode r, ObjectNode answer) throws Exception;
    }

    static final Map<String, Operation> operations = new HashMap<>();

    static {
        operations.put("version", r -> json.createObjectNode().put("version", AppInfoParser.getVersion()));
        operations.put("produce", Driver::produce);
        operations.put("stream", Driver::produce);
        operations.put("consume", Driver::consume);
        operations.put("create", managed((a, r, got) -> a.createTopics(List.of(new NewTopic(topic(r), r.get("partitions").asInt(), (short) 1))).all().get()));
        operations.put("delete", managed((a, r, got) -> a.deleteTopics(List.of(topic(r))).all().get()));
        operations.put("grow", managed((a, r, got) -> a.createPartitions(Map.of(topic(r), NewPartitions.increaseTo(r.get("partitions").asInt()))).all().get()));
        operations.put("partitions", managed((a, r, got) -> got.put("count",
            a.describeTopics(List.of(topic(r))).allTopicNames().get().get(topic(r)).partitions().size())));
        operations.put("config", managed((a, r, got) -> {
            ConfigResource about = new ConfigResource(ConfigResource.Type.TOPIC, topic(r));
            got.put("count", a.describeConfigs(List.of(about)).all().get().get(about).entries().size());
        }));
        operations.put("offset", managed((a, r, got) -> {
            OffsetSpec spec = switch (r.get("from").asText()) {
                case "earliest" -> OffsetSpec.earliest();
                case "latest" -> OffsetSpec.latest();
                default -> OffsetSpec.forTimestamp(r.get("at").asLong());
            };
            got.put("offset", a.listOffsets(Map.of(partition(r), spec)).partitionResult(partition(r)).get().offset());
        }));
    }

    static String topic(JsonNode r) {
        return r.get("topic").asText();
    }

    static TopicPartition partition(JsonNode r) {
        return new TopicPartition(topic(r), r.get("partition").asInt());
    }

    static Operation managed(Managed call) {
        return r -> {
            try (Admin a = Admin.create(Map.of("bootstrap.servers", r.get("server").asText()))) {
                ObjectNode answer = json.createObjectNode();
                call.run(a, r, answer);
                return answer;
            }
        };
    }

    static ObjectNode produce(JsonNode r) throws Exception {
        boolean streaming = r.get("op").asText().equals("stream");
        int first = r.get("first").asInt(), count = r.get("count").asInt();
        boolean offsets = !r.get("acks").asText().equals("0");
        Map<String, Object> conf = new HashMap<>(Map.of(
            "bootstrap.servers", r.get("server").asText(), "acks", r.get("acks").asText(), "compression.type", r.get("codec").asText(),
            "enable.idempotence", r.get("idempotent").asBoolean(), "max.request.size", 64 << 20,
            "delivery.timeout.ms", streaming ? Integer.MAX_VALUE : LIMIT * 1000, "max.block.ms", streaming ? Long.MAX_VALUE : LIMIT * 1000L));
        long[] base = {-1};
        Exception[] failed = {null};
        try (KafkaProducer<byte[], byte[]> p = new KafkaProducer<>(conf, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (int i = first; i < first + count; i++) {
                String value = r.get("codec").asText() + "-" + i;
                value += ".".repeat(Math.max(0, r.get("size").asInt() - value.length()));
                ProducerRecord<byte[], byte[]> rec = new ProducerRecord<>(topic(r), r.get("partition").asInt(),
                    r.get("time").asLong() + i, ("k" + i).getBytes(), value.getBytes());
                rec.headers().add("i", String.valueOf(i).getBytes());
                final int number = i;
                p.send(rec, (RecordMetadata m, Exception e) -> { // on the producer's one thread
                    if (e != null) {
                        failed[0] = failed[0] == null ? e : failed[0];
                        return;
                    }
                    if (number == first && offsets) {
                        base[0] = m.offset();
                    }
                    if (streaming) {
                        out.println(json.createObjectNode().put("acked", number).put("offset", m.offset()));
                    }
                });
            }
            p.flush();
        }
        if (failed[0] != null) {
            throw failed[0];
        }
        return json.createObjectNode().put("offset", base[0]);
    }

    static ObjectNode consume(JsonNode r) throws Exception {
        Map<String, Object> conf = Map.of("bootstrap.servers", r.get("server").asText(), "auto.offset.reset", "none", "enable.auto.commit", false);
        ObjectNode answer = json.createObjectNode();
        var records = answer.putArray("records");
        int count = r.get("count").asInt();
        try (Consumer<byte[], byte[]> c = new KafkaConsumer<>(conf, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            TopicPartition tp = partition(r);
            long at = r.get("at").asLong();
            if (r.get("from").asText().equals("time")) {
                at = c.offsetsForTimes(Map.of(tp, at)).get(tp).offset();
            }
            c.assign(Set.of(tp));
            c.seek(tp, at);
            long end = System.nanoTime() + LIMIT * 1_000_000_000L;
            while (records.size() < count) {
                if (System.nanoTime() > end) {
                    throw new Exception(records.size() + " of " + count + " records came");
                }
                for (ConsumerRecord<byte[], byte[]> rec : c.poll(Duration.ofSeconds(5))) {
                    if (records.size() < count) {
                        add(records.addObject(), rec);
                    }
                }
            }
        }
        return answer;
    }

    static void add(ObjectNode to, ConsumerRecord<byte[], byte[]> rec) {
        Header[] headers = rec.headers().toArray();
        boolean one = headers.length == 1 && headers[0].key().equals("i");
        to.put("o", rec.offset()).put("t", rec.timestamp());
        to.put("k", rec.key() == null ? "" : new String(rec.key())).put("h", one ? new String(headers[0].value()) : "");
        to.put("v", new String(rec.value()).replaceAll("\\.+$", "")).put("n", rec.value().length);
    }

    static int code(Throwable e) {
        if (e instanceof OffsetOutOfRangeException) {
            return Errors.OFFSET_OUT_OF_RANGE.code(); // the consumer has a class of its own for it
        }
        int code = Errors.forException(e).code();
        return Math.max(code, 0);
    }

    static ObjectNode answer(JsonNode r) {
        try {
            return operations.get(r.get("op").asText()).run(r).put("ok", true);
        } catch (Exception thrown) {
            Throwable e = thrown instanceof ExecutionException && thrown.getCause() != null ? thrown.getCause() : thrown;
            return json.createObjectNode().put("error", e.toString()).put("code", code(e));
        }
    }

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(answer(json.readTree(line)));
            out.flush();
        }
    }
}
