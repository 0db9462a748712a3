import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import org.apache.synapse.config.xml.XMLConfigurationBuilder;

/**
 * Has Synapse's own factories read configurations without starting anything: a line for each, `accepted` or why not. The
 * route's synapse.properties must be found: without it what is broken is skipped.
 */
public final class CheckConfig {
    public static void main(String[] paths) throws Exception {
        org.apache.log4j.Logger.getRootLogger().setLevel(org.apache.log4j.Level.OFF);
        for (String path : paths) {
            System.out.println(verdict(Path.of(path)));
        }
        // The factories leave threads behind.
        System.exit(0);
    }

    private static String verdict(Path path) throws Exception {
        byte[] text = Files.readString(path, StandardCharsets.UTF_8).trim().getBytes(StandardCharsets.UTF_8);
        try {
            XMLConfigurationBuilder.getConfiguration(new ByteArrayInputStream(text), new Properties());
            return "accepted";
        } catch (RuntimeException | javax.xml.stream.XMLStreamException refused) {
            return "refused: " + String.valueOf(refused.getMessage()).lines().findFirst().orElse("");
        }
    }
}
