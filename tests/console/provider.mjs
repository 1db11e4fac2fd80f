// A provider of OpenID Connect for the tests: `oidc-provider` with one client and three
// people. Prints its issuer when it listens. The signature's algorithm is the first argument.
import { createServer } from 'node:http';
import { generateKeyPairSync } from 'node:crypto';
import Provider from 'oidc-provider';

const [algorithm, port, redirect] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;

/** The key for an algorithm, as a JWK. */
function key(alg) {
  const kinds = {
    RS256: ['rsa', { modulusLength: 2048 }],
    ES256: ['ec', { namedCurve: 'P-256' }],
    EdDSA: ['ed25519', {}],
  };
  const [kind, options] = kinds[alg];
  const jwk = generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' });
  return { ...jwk, kid: `${alg}-1`, use: 'sig', alg };
}

const people = {
  ada: { preferred_username: 'ada', groups: ['sec-admins', 'everyone'] },
  sam: { preferred_username: 'sam', groups: ['soc'] },
  eve: { preferred_username: 'eve', groups: ['everyone'] },
};

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'bartizan',
    client_secret: 'a secret of the test: 100% & more',
    redirect_uris: [redirect],
    response_types: ['code'],
    grant_types: ['authorization_code'],
    id_token_signed_response_alg: algorithm,
  }],
  jwks: { keys: [key(algorithm)] },
  cookies: { keys: ['of the test'] },
  claims: { openid: ['sub'], profile: ['preferred_username', 'groups'], email: ['email'] },
  scopes: ['openid', 'profile', 'email'],
  pkce: { required: () => true, methods: ['S256'] },
  ttl: { AccessToken: 300, IdToken: 300, AuthorizationCode: 60, Interaction: 300, Session: 600, Grant: 600 },
  async findAccount(_ctx, id) {
    return { accountId: id, claims: async () => ({ sub: id, ...people[id] }) };
  },
});

createServer(provider.callback()).listen(Number(port), '127.0.0.1', () => console.log(issuer));
