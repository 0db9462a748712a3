package lakeport;

import org.apache.axiom.om.OMOutputFormat;
import org.apache.axis2.context.MessageContext;
import org.apache.axis2.format.PlainTextFormatter;

/** Writes what Axis2's PlainTextBuilder read, the same text, with JSON's media type: Synapse 3.0.1 has none for JSON. */
public final class JsonText extends PlainTextFormatter {
    @Override
    public String getContentType(MessageContext message, OMOutputFormat format, String action) {
        return "application/json; charset=UTF-8";
    }
}
