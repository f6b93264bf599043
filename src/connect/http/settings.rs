//! What the table of a sink says of its server.

use std::time::Duration;

use elasticsearch::auth::Credentials;
use elasticsearch::cert::{Certificate, CertificateValidation};
use elasticsearch::http::transport::{SingleNodeConnectionPool, Transport, TransportBuilder};
use url::Url;

use crate::limits;
use crate::settings::{Secret, Section};

/// Where a search server is, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// Its addresses; each request goes to the next one.
    pub urls: Vec<Url>,
    /// Who we are.
    pub credentials: Option<HttpCredentials>,
    /// Certificates (PEM) of authorities trusted besides the usual ones.
    pub ca: Option<String>,
    /// Whether the server's certificate is checked.
    pub verify: bool,
    /// Whether large bodies are compressed.
    pub gzip: bool,
    /// How long one request may take.
    pub timeout: Duration,
}

/// Who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpCredentials {
    /// A name and a password.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// An API key, as the server gave it (`encoded`) or as `id:key`.
    ApiKey(Secret),
}

/// Reads `url` or `urls`, `user` and `password` or `api_key`, `tls`, `gzip` and `timeout` of `section`.
pub fn read(section: &Section<'_>) -> HttpSettings {
    let urls = read_urls(section);
    let (ca, verify) = read_tls(section, &urls);
    HttpSettings {
        credentials: read_credentials(section),
        ca,
        verify,
        gzip: section.boolean("gzip", false),
        timeout: read_timeout(section),
        urls,
    }
}

impl HttpSettings {
    /// The transport to one of the addresses. Reaches for nothing.
    pub(super) fn transport(&self, url: &Url) -> Result<Transport, String> {
        let builder = TransportBuilder::new(SingleNodeConnectionPool::new(url.clone()))
            .enable_meta_header(false)
            .timeout(self.timeout)
            .cert_validation(self.validation()?);
        let builder = match self.credentials.as_ref().map(HttpCredentials::revealed) {
            Some(credentials) => builder.auth(credentials),
            None => builder,
        };
        builder.build().map_err(|error| last_cause(&error))
    }

    fn validation(&self) -> Result<CertificateValidation, String> {
        match &self.ca {
            _ if !self.verify => Ok(CertificateValidation::None),
            Some(pem) => Certificate::from_pem(pem.as_bytes()).map(CertificateValidation::Full).map_err(|error| last_cause(&error)),
            None => Ok(CertificateValidation::Default),
        }
    }
}

impl HttpCredentials {
    fn revealed(&self) -> Credentials {
        match self {
            Self::Basic { user, password } => Credentials::Basic(user.clone(), password.reveal().to_owned()),
            // An encoded key is base64, which has no colon.
            Self::ApiKey(key) => match key.reveal().split_once(':') {
                Some((id, key)) => Credentials::ApiKey(id.to_owned(), key.to_owned()),
                None => Credentials::EncodedApiKey(key.reveal().to_owned()),
            },
        }
    }
}

/// The innermost of an error's causes: the outer ones only say that there was an error.
pub(super) fn last_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn read_urls(section: &Section<'_>) -> Vec<Url> {
    let present = section.present(&["url", "urls"]);
    match present.as_slice() {
        [] => section.missing("url"),
        [_, _] => section.problem("urls", "stands beside url: keep one of the two"),
        _ => {}
    }
    let one = section.string("url").map(|text| ("url", text));
    let several = section.strings("urls").unwrap_or_default();
    if present.contains(&"urls") && several.is_empty() {
        section.problem("urls", "is empty: name at least one address");
    }
    let texts = one.into_iter().chain(several.into_iter().map(|text| ("urls", text)));
    texts.filter_map(|(key, text)| parsed_url(&text).map_err(|problem| section.problem(key, problem)).ok()).collect()
}

fn parsed_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(url) = url else {
        return Err("must be an address such as \"http://localhost:9200\" or \"https://search.example.com\"".to_owned());
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a name or password, for addresses are logged: write user and password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("must end with the path: remove what follows {}", url.path()));
    }
    Ok(url)
}

fn read_credentials(section: &Section<'_>) -> Option<HttpCredentials> {
    let present = section.present(&["user", "password", "api_key"]);
    let (user, password, api_key) = (section.string("user"), section.secret("password"), section.secret("api_key"));
    match present.as_slice() {
        ["user"] => section.problem("user", "needs a password: write password = \"env:NAME\""),
        ["password"] => section.problem("password", "needs a user: write user = \"…\""),
        [_, .., "api_key"] => section.problem("api_key", "stands beside user and password: keep one of the two"),
        _ => {}
    }
    if user.as_ref().is_some_and(|user| user.contains(':')) {
        section.problem("user", "must not hold a colon: HTTP's basic authentication cannot carry one");
    }
    if let Some(key) = api_key {
        // The transport panics on a key that cannot stand in a header.
        let is_printable = !key.reveal().is_empty() && key.reveal().bytes().all(|byte| byte.is_ascii_graphic());
        if !is_printable {
            section.problem("api_key", "must be one word of printable ASCII: the key's `encoded` form, or `id:key`");
        }
        return is_printable.then_some(HttpCredentials::ApiKey(key));
    }
    Some(HttpCredentials::Basic { user: user?, password: password? })
}

fn read_tls(section: &Section<'_>, urls: &[Url]) -> (Option<String>, bool) {
    let tls = section.section("tls");
    let (ca, verify) = (tls.contents("ca"), tls.boolean("verify", true));
    if tls.is_present() && !urls.is_empty() && urls.iter().all(|url| url.scheme() == "http") {
        section.problem("tls", "has no effect on an address that begins with http://: write https://, or remove it");
    }
    if ca.is_some() && !verify {
        tls.problem("ca", "has no effect with verify = false: remove one of the two");
    }
    let ca = ca.filter(|pem| match is_usable(pem) {
        Ok(()) => true,
        Err(problem) => {
            tls.problem("ca", format!("must be a file with certificates in PEM form: {problem}"));
            false
        }
    });
    (ca, verify)
}

/// Certificates are only looked at when a transport is made: so one is made.
fn is_usable(pem: &str) -> Result<(), String> {
    let certificate = Certificate::from_pem(pem.as_bytes()).map_err(|error| last_cause(&error))?;
    let trial = TransportBuilder::default().cert_validation(CertificateValidation::Full(certificate)).build();
    trial.map(drop).map_err(|_| "one of them is damaged".to_owned())
}

fn read_timeout(section: &Section<'_>) -> Duration {
    let timeout = section.duration("timeout", limits::SINK_REQUEST_TIMEOUT);
    if timeout.is_zero() {
        section.problem("timeout", "must be longer than nothing");
    }
    timeout
}
