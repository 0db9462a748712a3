package lakeport;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.synapse.MessageContext;
import org.apache.synapse.SynapseException;
import org.apache.synapse.core.axis2.Axis2MessageContext;
import org.apache.synapse.mediators.AbstractMediator;

/**
 * Puts the route's own token on a message. Where the property `lakeport.status` is set the message is the core's answer,
 * and 401 forgets the token.
 *
 * <p>Logs in at CORE_URL as LAKEPORT_USERNAME with LAKEPORT_PASSWORD, all of the environment, and again when a fifth of
 * the token's life is left. After a login that failed, messages fail at once until a pause is over: a second where no
 * answer came, longer each time where the core refused, which counts failed logins. One instance holds one token: let
 * all sequences go through one.
 */
public final class BearerToken extends AbstractMediator {
    private static final Duration TIMEOUT = Duration.ofSeconds(10);
    private static final Pattern TOKEN = Pattern.compile("\"access_token\"\\s*:\\s*\"([A-Za-z0-9._~+/=-]+)\"");
    private static final Pattern SECONDS = Pattern.compile("\"expires_in\"\\s*:\\s*(\\d{1,9})\\b");
    private static final double RENEWED_BEFORE = 0.2;
    private static final int MOST_DOUBLINGS = 5;

    private final HttpClient client = HttpClient.newBuilder().connectTimeout(TIMEOUT).build();
    private Duration pause = Duration.ofSeconds(30);
    private String token;
    private Instant renewedAt = Instant.MIN;
    private Instant issuedAt = Instant.MIN;
    private Instant pausedUntil = Instant.MIN;
    private int refusals;

    /** Seconds without a login after the first that was refused. */
    public void setPauseSeconds(String seconds) {
        pause = Duration.ofMillis((long) (Double.parseDouble(seconds) * 1000));
    }

    /** See above. Raises SynapseException, which says nothing of whereabouts or secrets. */
    @Override
    public boolean mediate(MessageContext message) {
        var axis2 = ((Axis2MessageContext) message).getAxis2MessageContext();
        Object status = message.getProperty("lakeport.status");
        if (status != null) {
            if ("401".equals(status.toString())) {
                forget();
            }
            return true;
        }
        headers(axis2).put("Authorization", "Bearer " + bearer());
        return true;
    }

    @SuppressWarnings("unchecked")
    private static Map<String, String> headers(org.apache.axis2.context.MessageContext axis2) {
        String name = org.apache.axis2.context.MessageContext.TRANSPORT_HEADERS;
        if (axis2.getProperty(name) == null) {
            axis2.setProperty(name, new java.util.TreeMap<String, String>(String.CASE_INSENSITIVE_ORDER));
        }
        return (Map<String, String>) axis2.getProperty(name);
    }

    private synchronized String bearer() {
        Instant now = Instant.now();
        if (token != null && now.isBefore(renewedAt)) {
            return token;
        }
        if (now.isBefore(pausedUntil)) {
            throw new SynapseException("The core gave no token a moment ago");
        }
        logIn(now);
        return token;
    }

    // A token that was just given is not forgotten: the answers of many messages sent with the last one come in late.
    private synchronized void forget() {
        if (issuedAt.isBefore(Instant.now().minus(Duration.ofSeconds(1)))) {
            token = null;
        }
    }

    private void logIn(Instant now) {
        pausedUntil = now.plusSeconds(1);
        String answer = ask();
        Matcher given = TOKEN.matcher(answer);
        Matcher lives = SECONDS.matcher(answer);
        if (!given.find() || !lives.find()) {
            throw new SynapseException("The core gave an answer without a token");
        }
        token = given.group(1);
        issuedAt = now;
        renewedAt = now.plusMillis((long) (Long.parseLong(lives.group(1)) * 1000 * (1 - RENEWED_BEFORE)));
        pausedUntil = Instant.MIN;
        refusals = 0;
    }

    private String ask() {
        String body = "{\"username\":" + quoted(setting("LAKEPORT_USERNAME"))
            + ",\"password\":" + quoted(setting("LAKEPORT_PASSWORD")) + "}";
        HttpRequest request = HttpRequest.newBuilder(URI.create(setting("CORE_URL") + "/auth/token"))
            .timeout(TIMEOUT).header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body)).build();
        try {
            HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
            if (response.statusCode() != 200) {
                pausedUntil = Instant.now().plus(pause.multipliedBy(1L << Math.min(refusals++, MOST_DOUBLINGS)));
                throw new SynapseException("The core did not let the route log in: " + response.statusCode());
            }
            return response.body();
        } catch (IOException error) {
            throw new SynapseException("The core did not answer a login");
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new SynapseException("The login was interrupted");
        }
    }

    private static String setting(String name) {
        String value = System.getenv(name);
        if (value == null || value.isEmpty()) {
            throw new SynapseException(name + " is not in the environment");
        }
        return value;
    }

    private static String quoted(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char each : text.toCharArray()) {
            boolean isPlain = each >= ' ' && each < 127 && each != '"' && each != '\\';
            quoted.append(isPlain ? String.valueOf(each) : String.format("\\u%04x", (int) each));
        }
        return quoted.append('"').toString();
    }
}
