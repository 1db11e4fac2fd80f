//! The forms of tokens. [`FORMATS`]: a prefix, an alphabet, a length, and a checksum
//! where the service has one. [`SHAPES`]: those that a prefix does not tell. A row a
//! form; the tests make samples from the row itself, so that no token stands here.

use std::sync::LazyLock;

use bartizan_core::{Confidence, Span};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use regex::Regex;

use super::{
    checksums::{crc32, entropy},
    needles::Needles,
    regex,
};
use crate::{HITS_MAX, Hit};

/// The characters after the prefix.
#[derive(Clone, Copy, Debug)]
pub(super) enum Alphabet {
    Hex,
    /// A to Z and 2 to 7.
    Base32,
    /// A to Z and 0 to 9.
    Upper,
    Base62,
    /// Base62 with `-` and `_`.
    UrlSafe,
    /// Bech32's: no `1`, `B`, `I` and `O`.
    Bech32,
    /// Base62 with `-`, `_`, `.`, `/` and `=`.
    Wide,
}

/// How a token proves itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum Proof {
    /// Its characters vary as random ones do.
    Entropy,
    /// Its last six characters are the CRC-32 of those before, in base 62.
    Crc32Base62,
}

/// A token's form.
#[derive(Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "name and source are for readers and tests"))]
pub(super) struct Format {
    pub(super) name: &'static str,
    pub(super) prefixes: &'static [&'static str],
    alphabet: Alphabet,
    least: usize,
    most: usize,
    proof: Proof,
    pub(super) source: &'static str,
}

const fn row(
    name: &'static str,
    prefixes: &'static [&'static str],
    alphabet: Alphabet,
    least: usize,
    most: usize,
    source: &'static str,
) -> Format {
    Format { name, prefixes, alphabet, least, most, proof: Proof::Entropy, source }
}

const fn checked(
    name: &'static str,
    prefixes: &'static [&'static str],
    length: usize,
    source: &'static str,
) -> Format {
    Format {
        name,
        prefixes,
        alphabet: Base62,
        least: length,
        most: length,
        proof: Proof::Crc32Base62,
        source,
    }
}

use Alphabet::{Base32, Base62, Bech32, Hex, Upper, UrlSafe, Wide};

/// Every form there is.
pub(super) const FORMATS: &[Format] = &[
    row(
        "aws-access-key-id",
        &["AKIA", "ASIA", "ABIA", "ACCA"],
        Base32,
        16,
        16,
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html",
    ),
    checked(
        "github-token",
        &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
        36,
        "https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/",
    ),
    row(
        "github-fine-grained-token",
        &["github_pat_"],
        UrlSafe,
        82,
        82,
        "https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github",
    ),
    row(
        "gitlab-token",
        &["glpat-", "gldt-", "glrt-", "glptt-", "glft-", "glsoat-", "glcbt-", "glagent-"],
        UrlSafe,
        20,
        64,
        "https://docs.gitlab.com/security/tokens/",
    ),
    row(
        "slack-token",
        &["xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xoxe-", "xapp-"],
        UrlSafe,
        24,
        160,
        "https://docs.slack.dev/authentication/tokens",
    ),
    row(
        "slack-webhook",
        &["https://hooks.slack.com/services/T"],
        Wide,
        36,
        64,
        "https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks",
    ),
    row(
        "discord-webhook",
        &["https://discord.com/api/webhooks/"],
        Wide,
        80,
        100,
        "https://docs.discord.com/developers/resources/webhook",
    ),
    row(
        "stripe-key",
        &["sk_live_", "rk_live_", "sk_test_", "rk_test_"],
        Base62,
        24,
        247,
        "https://docs.stripe.com/keys",
    ),
    row("stripe-webhook-secret", &["whsec_"], Base62, 32, 64, "https://docs.stripe.com/webhooks"),
    row(
        "openai-key",
        &["sk-proj-", "sk-svcacct-", "sk-admin-"],
        UrlSafe,
        40,
        200,
        "https://platform.openai.com/docs/api-reference/authentication",
    ),
    row(
        "anthropic-key",
        &["sk-ant-api03-", "sk-ant-admin01-", "sk-ant-oat01-"],
        UrlSafe,
        80,
        128,
        "https://docs.anthropic.com/en/api/overview",
    ),
    row(
        "openrouter-key",
        &["sk-or-v1-"],
        Hex,
        64,
        64,
        "https://openrouter.ai/docs/api-reference/authentication",
    ),
    row(
        "google-api-key",
        &["AIza"],
        UrlSafe,
        35,
        35,
        "https://cloud.google.com/docs/authentication/api-keys",
    ),
    row(
        "google-oauth-secret",
        &["GOCSPX-"],
        UrlSafe,
        28,
        28,
        "https://developers.google.com/identity/protocols/oauth2",
    ),
    row(
        "google-oauth-token",
        &["ya29."],
        UrlSafe,
        60,
        400,
        "https://developers.google.com/identity/protocols/oauth2",
    ),
    row(
        "sendgrid-key",
        &["SG."],
        Wide,
        66,
        66,
        "https://www.twilio.com/docs/sendgrid/ui/account-and-settings/api-keys",
    ),
    row(
        "mailgun-key",
        &["key-"],
        Hex,
        32,
        32,
        "https://documentation.mailgun.com/docs/mailgun/api-reference/mg-auth",
    ),
    row(
        "brevo-key",
        &["xkeysib-"],
        UrlSafe,
        81,
        81,
        "https://developers.brevo.com/docs/getting-started",
    ),
    checked(
        "npm-token",
        &["npm_"],
        36,
        "https://github.blog/changelog/2021-09-23-npm-has-a-new-access-token-format/",
    ),
    row(
        "pypi-token",
        &["pypi-AgEIcHlwaS5vcmc"],
        UrlSafe,
        60,
        300,
        "https://pypi.org/help/#apitoken",
    ),
    row("rubygems-key", &["rubygems_"], Hex, 48, 48, "https://guides.rubygems.org/api-key-scopes/"),
    row(
        "crates-io-token",
        &["cio"],
        Base62,
        32,
        32,
        "https://doc.rust-lang.org/cargo/reference/publishing.html",
    ),
    row(
        "docker-token",
        &["dckr_pat_", "dckr_oat_"],
        UrlSafe,
        27,
        64,
        "https://docs.docker.com/security/access-tokens/",
    ),
    row(
        "digitalocean-token",
        &["dop_v1_", "doo_v1_", "dor_v1_"],
        Hex,
        64,
        64,
        "https://docs.digitalocean.com/reference/api/create-personal-access-token/",
    ),
    row(
        "shopify-token",
        &["shpat_", "shpss_", "shpca_", "shppa_"],
        Hex,
        32,
        32,
        "https://shopify.dev/docs/apps/build/authentication-authorization",
    ),
    row(
        "square-token",
        &["sq0atp-", "sq0csp-"],
        UrlSafe,
        22,
        43,
        "https://developer.squareup.com/docs/build-basics/access-tokens",
    ),
    row(
        "huggingface-token",
        &["hf_"],
        Base62,
        34,
        34,
        "https://huggingface.co/docs/hub/security-tokens",
    ),
    row(
        "replicate-token",
        &["r8_"],
        Base62,
        37,
        37,
        "https://replicate.com/docs/topics/security/api-tokens",
    ),
    row("groq-key", &["gsk_"], Base62, 52, 52, "https://console.groq.com/docs/quickstart"),
    row("xai-key", &["xai-"], Base62, 80, 80, "https://docs.x.ai/docs/tutorial"),
    row(
        "perplexity-key",
        &["pplx-"],
        Base62,
        48,
        48,
        "https://docs.perplexity.ai/getting-started/quickstart",
    ),
    row(
        "nvidia-key",
        &["nvapi-"],
        UrlSafe,
        60,
        70,
        "https://docs.api.nvidia.com/nim/docs/api-quickstart",
    ),
    row(
        "databricks-token",
        &["dapi"],
        Hex,
        32,
        32,
        "https://docs.databricks.com/aws/en/dev-tools/auth/pat",
    ),
    row("linear-key", &["lin_api_"], Base62, 40, 40, "https://linear.app/developers/graphql"),
    row(
        "notion-token",
        &["ntn_"],
        Base62,
        43,
        50,
        "https://developers.notion.com/docs/authorization",
    ),
    row(
        "figma-token",
        &["figd_"],
        UrlSafe,
        40,
        40,
        "https://developers.figma.com/docs/rest-api/authentication/",
    ),
    row(
        "doppler-token",
        &["dp.pt.", "dp.st.", "dp.sa."],
        Wide,
        40,
        44,
        "https://docs.doppler.com/docs/service-tokens",
    ),
    row(
        "vault-token",
        &["hvs.", "hvb."],
        UrlSafe,
        24,
        300,
        "https://developer.hashicorp.com/vault/docs/concepts/tokens",
    ),
    row(
        "planetscale-token",
        &["pscale_tkn_", "pscale_pw_", "pscale_oauth_"],
        Wide,
        32,
        64,
        "https://planetscale.com/docs/concepts/service-tokens",
    ),
    row(
        "postman-key",
        &["PMAK-"],
        UrlSafe,
        59,
        59,
        "https://learning.postman.com/docs/developer/postman-api/authentication/",
    ),
    row(
        "grafana-token",
        &["glsa_"],
        UrlSafe,
        41,
        41,
        "https://grafana.com/docs/grafana/latest/administration/service-accounts/",
    ),
    row(
        "new-relic-key",
        &["NRAK-"],
        Upper,
        27,
        27,
        "https://docs.newrelic.com/docs/apis/intro-apis/new-relic-api-keys/",
    ),
    row(
        "dynatrace-token",
        &["dt0c01.", "dt0s01."],
        Wide,
        89,
        89,
        "https://docs.dynatrace.com/docs/manage/identity-access-management/access-tokens-and-oauth-clients/access-tokens",
    ),
    row("sentry-token", &["sntryu_"], Hex, 64, 64, "https://docs.sentry.io/account/auth-tokens/"),
    row(
        "atlassian-token",
        &["ATATT3xFfGF0"],
        Wide,
        160,
        240,
        "https://support.atlassian.com/atlassian-account/docs/manage-api-tokens-for-your-atlassian-account/",
    ),
    row(
        "supabase-key",
        &["sbp_"],
        Hex,
        40,
        40,
        "https://supabase.com/docs/reference/api/introduction",
    ),
    row(
        "tailscale-key",
        &["tskey-auth-", "tskey-api-", "tskey-client-"],
        UrlSafe,
        24,
        64,
        "https://tailscale.com/kb/1085/auth-keys",
    ),
    row(
        "age-secret-key",
        &["AGE-SECRET-KEY-1"],
        Bech32,
        58,
        58,
        "https://github.com/C2SP/C2SP/blob/main/age.md",
    ),
    row(
        "contentful-token",
        &["CFPAT-"],
        UrlSafe,
        43,
        43,
        "https://www.contentful.com/developers/docs/references/authentication/",
    ),
    row(
        "prefect-key",
        &["pnu_"],
        Base62,
        36,
        36,
        "https://docs.prefect.io/v3/manage/cloud/manage-users/api-keys",
    ),
    row("adafruit-key", &["aio_"], Base62, 28, 28, "https://io.adafruit.com/api/docs/"),
    row("fly-token", &["fo1_"], UrlSafe, 43, 43, "https://fly.io/docs/security/tokens/"),
    row(
        "langfuse-secret",
        &["sk-lf-"],
        UrlSafe,
        36,
        36,
        "https://langfuse.com/docs/api-and-data-platform/features/public-api",
    ),
    row(
        "openai-classic-key",
        &["sk-"],
        Base62,
        48,
        48,
        "https://platform.openai.com/docs/api-reference/authentication",
    ),
    row(
        "heroku-key",
        &["HRKU-"],
        UrlSafe,
        36,
        60,
        "https://devcenter.heroku.com/articles/platform-api-quickstart",
    ),
    row("twilio-key", &["SK"], Hex, 32, 32, "https://www.twilio.com/docs/iam/api-keys"),
    row(
        "sonarqube-token",
        &["squ_", "sqp_", "sqa_"],
        Hex,
        40,
        40,
        "https://docs.sonarsource.com/sonarqube-server/user-guide/managing-tokens",
    ),
    row(
        "pulumi-token",
        &["pul-"],
        Hex,
        40,
        40,
        "https://www.pulumi.com/docs/administration/access-identity/access-tokens/",
    ),
    row(
        "buildkite-token",
        &["bkua_"],
        Hex,
        40,
        40,
        "https://buildkite.com/docs/apis/managing-api-tokens",
    ),
    row(
        "netlify-token",
        &["nfp_"],
        Base62,
        36,
        40,
        "https://docs.netlify.com/api-and-cli-guides/api-guides/get-started-with-api/",
    ),
    row(
        "typeform-token",
        &["tfp_"],
        UrlSafe,
        44,
        64,
        "https://www.typeform.com/developers/get-started/personal-access-token/",
    ),
    row(
        "clojars-token",
        &["CLOJARS_"],
        Hex,
        60,
        60,
        "https://github.com/clojars/clojars-web/wiki/Deploy-Tokens",
    ),
    row(
        "alibaba-key-id",
        &["LTAI"],
        Base62,
        20,
        20,
        "https://www.alibabacloud.com/help/en/ram/user-guide/create-an-accesskey-pair",
    ),
    row(
        "pinecone-key",
        &["pcsk_"],
        UrlSafe,
        60,
        80,
        "https://docs.pinecone.io/guides/projects/manage-api-keys",
    ),
    row(
        "langsmith-key",
        &["lsv2_pt_", "lsv2_sk_"],
        UrlSafe,
        43,
        43,
        "https://docs.langchain.com/langsmith/create-account-api-key",
    ),
    row(
        "bitbucket-password",
        &["ATBB"],
        Base62,
        32,
        32,
        "https://support.atlassian.com/bitbucket-cloud/docs/app-passwords/",
    ),
    row(
        "jfrog-key",
        &["AKCp"],
        Base62,
        69,
        69,
        "https://jfrog.com/help/r/jfrog-platform-administration-documentation/user-profile",
    ),
    row("dropbox-token", &["sl."], UrlSafe, 130, 200, "https://developers.dropbox.com/oauth-guide"),
    row(
        "meta-token",
        &["EAA"],
        Base62,
        90,
        250,
        "https://developers.facebook.com/docs/facebook-login/guides/access-tokens/",
    ),
    row("e2b-key", &["e2b_"], Hex, 40, 40, "https://e2b.dev/docs/api-key"),
    row(
        "supabase-secret",
        &["sb_secret_"],
        UrlSafe,
        31,
        31,
        "https://supabase.com/docs/guides/api/api-keys",
    ),
    row("render-key", &["rnd_"], Base62, 28, 32, "https://render.com/docs/api"),
    row(
        "flutterwave-key",
        &["FLWSECK-", "FLWSECK_TEST-"],
        UrlSafe,
        32,
        36,
        "https://developer.flutterwave.com/docs/authentication",
    ),
    row(
        "hubspot-token",
        &["pat-na1-", "pat-eu1-"],
        UrlSafe,
        36,
        36,
        "https://developers.hubspot.com/docs/guides/apps/private-apps/overview",
    ),
    row(
        "mapbox-secret",
        &["sk.eyJ"],
        Wide,
        60,
        160,
        "https://docs.mapbox.com/accounts/guides/tokens/",
    ),
    row(
        "bartizan-key",
        &["bz_default_"],
        UrlSafe,
        43,
        43,
        "https://datatracker.ietf.org/doc/html/rfc8959",
    ),
];

/// A form that a pattern tells.
#[derive(Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "what samples are made of is for tests"))]
pub(super) struct Shape {
    pub(super) name: &'static str,
    /// Its first group is the token.
    pattern: &'static str,
    /// What stands before a token.
    before: &'static str,
    /// What a token is made of: literals, and random characters after each.
    parts: &'static [(&'static str, Alphabet, usize)],
    pub(super) source: &'static str,
}

/// Every form that a prefix does not tell.
pub(super) const SHAPES: &[Shape] = &[
    Shape {
        name: "telegram-bot-token",
        pattern: r"\b(\d{8,10}:AA[A-Za-z0-9_-]{33})(?:[^A-Za-z0-9_-]|$)",
        before: "",
        parts: &[("7301945286:AA", Base62, 33)],
        source: "https://core.telegram.org/bots/features#botfather",
    },
    Shape {
        name: "discord-bot-token",
        pattern: r"\b((?:M[TDjz]|N[TDjz]|O[DT])[A-Za-z0-9_-]{22,26}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,38})(?:[^A-Za-z0-9_.-]|$)",
        before: "",
        parts: &[("MT", Base62, 24), (".", Base62, 6), (".", Base62, 38)],
        source: "https://docs.discord.com/developers/reference#authentication",
    },
    Shape {
        name: "azure-storage-key",
        pattern: r"\b(?:AccountKey|accountkey|ACCOUNTKEY)=([A-Za-z0-9+/]{86}==)",
        before: "AccountKey=",
        parts: &[("", Base62, 86), ("==", Base62, 0)],
        source: "https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string",
    },
    Shape {
        name: "azure-client-secret",
        pattern: r"(?:^|[^A-Za-z0-9_~.-])([A-Za-z0-9_~.-]{3}\dQ~[A-Za-z0-9_~.-]{31,34})(?:[^A-Za-z0-9_~.-]|$)",
        before: "",
        parts: &[("", Base62, 3), ("8Q~", Base62, 34)],
        source: "https://learn.microsoft.com/entra/identity-platform/howto-create-service-principal-portal",
    },
    Shape {
        name: "mailchimp-key",
        pattern: r"\b([0-9a-f]{32}-us\d{1,2})\b",
        before: "",
        parts: &[("", Hex, 32), ("-us14", Hex, 0)],
        source: "https://mailchimp.com/developer/marketing/guides/quick-start/",
    },
    Shape {
        name: "terraform-token",
        pattern: r"\b([A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{60,70})(?:[^A-Za-z0-9_-]|$)",
        before: "",
        parts: &[("", Base62, 14), (".atlasv1.", Base62, 64)],
        source: "https://developer.hashicorp.com/terraform/cloud-docs/users-teams-organizations/api-tokens",
    },
    Shape {
        name: "aws-secret-key",
        pattern: r#"\b(?:aws|AWS|Aws).{0,20}?(?i:secret|access).{0,16}?(?i:key).{0,4}?[=:]\s{0,2}["']?([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)"#,
        before: "aws_secret_access_key = ",
        parts: &[("", Base62, 40)],
        source: "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html",
    },
    Shape {
        name: "airtable-token",
        pattern: r"\b(pat[A-Za-z0-9]{14}\.[0-9a-f]{64})\b",
        before: "",
        parts: &[("pat", Base62, 14), (".", Hex, 64)],
        source: "https://airtable.com/developers/web/guides/personal-access-tokens",
    },
];

static SHAPED: LazyLock<(Needles, Vec<Regex>)> = LazyLock::new(|| {
    let patterns = SHAPES.iter().map(|shape| shape.pattern);
    (Needles::new(patterns.clone(), false), patterns.map(regex).collect())
});

/// The tokens that have a shape.
pub(super) fn shaped(text: &str, hits: &mut Vec<Hit>) {
    let (needles, patterns) = &*SHAPED;
    for pattern in needles.announced(text).filter_map(|i| patterns.get(i)) {
        let tokens = pattern.captures_iter(text).filter_map(|found| found.get(1)).take(HITS_MAX);
        let tokens =
            tokens.filter(|token| !is_dull(token.as_str()) && entropy(token.as_str()) >= 3.0);
        hits.extend(tokens.map(|token| Hit {
            span: Span::new(token.start(), token.end()),
            confidence: Confidence::percent(90),
        }));
    }
}

/// Whether documentation would print it.
fn is_dull(token: &str) -> bool {
    let upper = token.to_ascii_uppercase();
    ["EXAMPLE", "XXXXX", "00000", "12345678", "ABCDEFGH"].iter().any(|dull| upper.contains(dull))
}

impl Alphabet {
    fn holds(self, c: u8) -> bool {
        match self {
            Self::Hex => c.is_ascii_digit() || (b'a'..=b'f').contains(&c),
            Self::Base32 => c.is_ascii_uppercase() || (b'2'..=b'7').contains(&c),
            Self::Upper => c.is_ascii_uppercase() || c.is_ascii_digit(),
            Self::Base62 => c.is_ascii_alphanumeric(),
            Self::UrlSafe => c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'),
            Self::Bech32 => (c.is_ascii_uppercase() || c.is_ascii_digit()) && !b"1BIO".contains(&c),
            Self::Wide => {
                c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b'/' | b'=')
            }
        }
    }

    /// The least entropy of a random token, in bits a character: well below what a
    /// token of the usual lengths has, well above what words and fillers have.
    fn entropy_least(self) -> f64 {
        match self {
            Self::Hex | Self::Base32 | Self::Upper | Self::Bech32 => 2.8,
            _ => 3.2,
        }
    }
}

impl Format {
    /// Where the token ends whose prefix stands at `start..body`, if it is one.
    pub(super) fn token(&self, text: &str, start: usize, body: usize) -> Option<usize> {
        let before = text.get(..start)?.bytes().next_back();
        if before.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return None;
        }
        let rest = text.get(body..)?;
        let length =
            rest.bytes().take(self.most + 1).take_while(|b| self.alphabet.holds(*b)).count();
        let token = rest.get(..length)?;
        // A sentence may end right behind a token.
        let token =
            if token.len() > self.least { token.trim_end_matches(['.', '-', '=']) } else { token };
        let next = rest.as_bytes().get(token.len()).copied();
        let ends = token.len() <= self.most && next.is_none_or(|b| !b.is_ascii_alphanumeric());
        (ends && token.len() >= self.least && self.proves(token)).then_some(body + token.len())
    }

    fn proves(&self, token: &str) -> bool {
        if is_dull(token) {
            return false;
        }
        match self.proof {
            Proof::Entropy => entropy(token) >= self.alphabet.entropy_least(),
            Proof::Crc32Base62 => {
                let split = token.len().checked_sub(6).and_then(|at| token.split_at_checked(at));
                split.is_some_and(|(body, check)| base62(crc32(body.as_bytes())) == check)
            }
        }
    }
}

/// Six characters of base 62, digits first, then capital and small letters.
fn base62(mut number: u32) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut out = [b'0'; 6];
    for place in out.iter_mut().rev() {
        let digit = usize::try_from(number % 62).unwrap_or(0);
        *place = DIGITS.get(digit).copied().unwrap_or(b'0');
        number /= 62;
    }
    out.iter().map(|b| char::from(*b)).collect()
}

static WEB: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"\beyJ[A-Za-z0-9_-]{10,900}\.[A-Za-z0-9_-]{10,8000}(?:\.[A-Za-z0-9_-]{16,1400}|\.[A-Za-z0-9_-]{0,15}$|$)",
    )
});

/// JSON web tokens (RFC 7519): the head decodes to JSON that names an algorithm. One
/// that the text's end cuts off is one too: its signature may yet come.
pub(super) fn web_tokens(text: &str, hits: &mut Vec<Hit>) {
    if !text.contains("eyJ") {
        return;
    }
    for found in WEB.find_iter(text).take(HITS_MAX) {
        let head = found.as_str().split('.').next().unwrap_or_default();
        if is_web_head(head) {
            hits.push(Hit {
                span: Span::new(found.start(), found.end()),
                confidence: Confidence::percent(95),
            });
        }
    }
}

fn is_web_head(head: &str) -> bool {
    let bytes = URL_SAFE_NO_PAD.decode(head).ok();
    let head = bytes.and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    head.is_some_and(|head| head.get("alg").is_some_and(serde_json::Value::is_string))
}

#[cfg(test)]
impl Format {
    /// A token of this form that no service ever gave out.
    pub(super) fn sample(&self, random: &bartizan_core::sim::SeededEntropy) -> String {
        let letters: Vec<u8> = (b'!'..=b'~')
            .filter(|b| self.alphabet.holds(*b) && b.is_ascii_alphanumeric())
            .collect();
        loop {
            let body = self.least - if matches!(self.proof, Proof::Crc32Base62) { 6 } else { 0 };
            let body: String =
                (0..body).map(|_| char::from(letters[random.below(letters.len())])).collect();
            let check = if matches!(self.proof, Proof::Crc32Base62) {
                base62(crc32(body.as_bytes()))
            } else {
                String::new()
            };
            let token = format!("{body}{check}");
            if self.proves(&token) {
                return format!("{}{token}", self.prefixes[random.below(self.prefixes.len())]);
            }
        }
    }

    /// The same cut by one character below the least length, or with a wrong checksum.
    pub(super) fn cut(&self, token: &str) -> String {
        let prefix = self
            .prefixes
            .iter()
            .filter(|p| token.starts_with(**p))
            .map(|p| p.len())
            .max()
            .expect("a prefix");
        match self.proof {
            Proof::Entropy => token.get(..prefix + self.least - 1).expect("ASCII").to_owned(),
            Proof::Crc32Base62 => {
                let last = if token.ends_with('a') { 'b' } else { 'a' };
                format!("{}{last}", token.get(..token.len() - 1).expect("ASCII"))
            }
        }
    }

    /// A filler of the right length.
    pub(super) fn dull(&self) -> String {
        let filler = if self.alphabet.holds(b'a') { 'a' } else { 'A' };
        format!("{}{}", self.prefixes[0], filler.to_string().repeat(self.least))
    }
}

#[cfg(test)]
impl Shape {
    /// What stands before the token, and a token that no service ever gave out.
    pub(super) fn sample(&self, random: &bartizan_core::sim::SeededEntropy) -> (&str, String) {
        let mut token = String::new();
        for (literal, alphabet, count) in self.parts {
            token.push_str(literal);
            let letters: Vec<u8> =
                (b'!'..=b'~').filter(|b| alphabet.holds(*b) && b.is_ascii_alphanumeric()).collect();
            token.extend((0..*count).map(|_| char::from(letters[random.below(letters.len())])));
        }
        (self.before, token)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn whatever_matches_is_looked_for() {
        super::SHAPED.0.check();
    }
}
