package lakeport;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.HexFormat;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.apache.synapse.MessageContext;
import org.apache.synapse.SynapseException;
import org.apache.synapse.mediators.AbstractMediator;

/**
 * Seals what the route stores, so that it knows its own messages when they come back and no secret lies in the store:
 * the property `lakeport.sealed` is the HMAC-SHA-256 of `lakeport.body` under LAKEPORT_ROUTE_KEY in hex, a line feed, and
 * that body.
 *
 * <p>With `opens` the other way round: `lakeport.body` is set from `lakeport.sealed`, and emptied where the seal is
 * broken.
 */
public final class Seal extends AbstractMediator {
    private static final int LENGTH = 64;
    private boolean opens;

    /** `true` to open. */
    public void setOpens(String opens) {
        this.opens = Boolean.parseBoolean(opens);
    }

    @Override
    public boolean mediate(MessageContext message) {
        if (opens) {
            message.setProperty("lakeport.body", opened(String.valueOf(message.getProperty("lakeport.sealed"))));
        } else {
            String body = String.valueOf(message.getProperty("lakeport.body"));
            message.setProperty("lakeport.sealed", signature(body) + "\n" + body);
        }
        return true;
    }

    private static String opened(String sealed) {
        if (sealed.length() <= LENGTH || sealed.charAt(LENGTH) != '\n') {
            return "";
        }
        String body = sealed.substring(LENGTH + 1);
        byte[] given = sealed.substring(0, LENGTH).getBytes(UTF_8);
        return MessageDigest.isEqual(given, signature(body).getBytes(UTF_8)) ? body : "";
    }

    private static String signature(String body) {
        String key = System.getenv("LAKEPORT_ROUTE_KEY");
        if (key == null || key.isEmpty()) {
            throw new SynapseException("LAKEPORT_ROUTE_KEY is not in the environment");
        }
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(key.getBytes(UTF_8), "HmacSHA256"));
            return HexFormat.of().formatHex(mac.doFinal(body.getBytes(UTF_8)));
        } catch (GeneralSecurityException error) {
            throw new SynapseException("The body cannot be sealed");
        }
    }
}
