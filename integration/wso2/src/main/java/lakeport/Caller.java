package lakeport;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.security.MessageDigest;
import java.util.Map;
import org.apache.synapse.MessageContext;
import org.apache.synapse.core.axis2.Axis2MessageContext;
import org.apache.synapse.mediators.AbstractMediator;

/**
 * Sets the property `lakeport.caller` to `known` for who sends the key of LAKEPORT_ROUTE_KEY as X-Lakeport-Key, else to
 * `unknown`, as everybody is where no key of 16 characters or more is in the environment.
 */
public final class Caller extends AbstractMediator {
    private static final int SHORTEST_KEY = 16;

    @Override
    public boolean mediate(MessageContext message) {
        message.setProperty("lakeport.caller", isKnown(header(message)) ? "known" : "unknown");
        return true;
    }

    private static boolean isKnown(String given) {
        String key = System.getenv("LAKEPORT_ROUTE_KEY");
        return key != null && key.length() >= SHORTEST_KEY
            && MessageDigest.isEqual(given.getBytes(UTF_8), key.getBytes(UTF_8));
    }

    private static String header(MessageContext message) {
        Object headers = ((Axis2MessageContext) message).getAxis2MessageContext()
            .getProperty(org.apache.axis2.context.MessageContext.TRANSPORT_HEADERS);
        Object found = headers instanceof Map ? ((Map<?, ?>) headers).get("X-Lakeport-Key") : null;
        return found == null ? "" : found.toString();
    }
}
