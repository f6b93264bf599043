package testnode;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.email.UAX29URLEmailTokenizer;
import org.apache.lucene.analysis.miscellaneous.RemoveDuplicatesTokenFilter;
import org.apache.lucene.analysis.pattern.PatternCaptureGroupTokenFilter;
import org.elasticsearch.Build;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.index.analysis.TokenFilterFactory;
import org.elasticsearch.index.analysis.TokenizerFactory;
import org.elasticsearch.indices.analysis.AnalysisModule.AnalysisProvider;
import org.elasticsearch.plugins.ActionPlugin;
import org.elasticsearch.plugins.AnalysisPlugin;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.xcontent.XContentBuilder;

/**
 * The Elasticsearch that Maven Central has comes without the modules rest-root and analysis-common. This
 * plugin gives the two things that we miss: GET /, with which clients greet a server, and the analyser
 * parts without which the index of API keys cannot be made.
 */
abstract class TestNode extends Plugin implements ActionPlugin, AnalysisPlugin {
    private final Settings settings;

    TestNode(Settings settings) {
        this.settings = settings;
    }

    /** The REST handlers; the hook that returns them changed its parameters between 8 and 9. */
    Collection<RestHandler> handlers() {
        return List.of(new Root(settings.get("node.name"), settings.get("cluster.name")));
    }

    @Override
    public Map<String, AnalysisProvider<TokenizerFactory>> getTokenizers() {
        return Map.of("uax_url_email", (index, environment, name, settings) -> TokenizerFactory.newFactory(name, UAX29URLEmailTokenizer::new));
    }

    @Override
    public Map<String, AnalysisProvider<TokenFilterFactory>> getTokenFilters() {
        return Map.of(
            "pattern_capture", (index, environment, name, settings) -> {
                Pattern[] patterns = settings.getAsList("patterns").stream().map(Pattern::compile).toArray(Pattern[]::new);
                boolean keep = settings.getAsBoolean("preserve_original", true);
                return filter(name, tokens -> new PatternCaptureGroupTokenFilter(tokens, keep, patterns));
            },
            "unique", (index, environment, name, settings) -> filter(name, RemoveDuplicatesTokenFilter::new));
    }

    private static TokenFilterFactory filter(String name, UnaryOperator<TokenStream> make) {
        return new TokenFilterFactory() {
            @Override public String name() { return name; }
            @Override public TokenStream create(TokenStream tokens) { return make.apply(tokens); }
        };
    }

    private static final class Root extends BaseRestHandler {
        private final String node, cluster;

        Root(String node, String cluster) {
            this.node = node;
            this.cluster = cluster;
        }

        @Override public String getName() { return "test_root"; }

        @Override public List<Route> routes() {
            return List.of(new Route(RestRequest.Method.GET, "/"), new Route(RestRequest.Method.HEAD, "/"));
        }

        @Override protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
            return channel -> {
                Build build = Build.current();
                XContentBuilder answer = channel.newBuilder().startObject().field("name", node).field("cluster_name", cluster);
                answer.startObject("version").field("number", build.qualifiedVersion()).field("build_flavor", build.flavor());
                answer.field("lucene_version", org.apache.lucene.util.Version.LATEST.toString()).endObject();
                channel.sendResponse(new RestResponse(RestStatus.OK, answer.field("tagline", "You Know, for Search").endObject()));
            };
        }
    }
}
