//! Certificate authorities and the leaves they sign, made anew for each test.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber, SignatureAlgorithm,
};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A certificate authority.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
    /// Certificates between a leaf of this authority and its root, PEM.
    between: String,
}

/// A certificate chain (leaf first) and its private key.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    /// The chain, PEM.
    pub(crate) cert_pem: String,
    /// The key, PKCS#8 PEM.
    pub(crate) key_pem: String,
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

/// What a leaf says; [`Leaf::server`] and [`Leaf::client`] are valid from yesterday for 30 days.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    names: Vec<String>,
    not_before: SystemTime,
    not_after: SystemTime,
    algorithm: &'static SignatureAlgorithm,
    usage: ExtendedKeyUsagePurpose,
    serial: Option<u64>,
    uris: Vec<String>,
    organisation: Option<String>,
}

impl Ca {
    /// A root authority.
    pub(crate) fn new() -> Self {
        Self::named("tls-sidecar test root")
    }

    /// A root authority with this common name.
    pub(crate) fn named(name: &str) -> Self {
        Self::root(authority(name))
    }

    /// A root authority that ended yesterday.
    pub(crate) fn expired() -> Self {
        Self::until(SystemTime::now() - DAY)
    }

    /// A root authority that ends at this moment.
    pub(crate) fn until(end: SystemTime) -> Self {
        let mut params = authority("root with an end");
        params.not_before = (end - 30 * DAY).into();
        params.not_after = end.into();
        Self::root(params)
    }

    fn root(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
            between: String::new(),
        }
    }

    /// An authority signed by this one; its leaves carry the chain up to, not including, the root.
    pub(crate) fn intermediate(&self, name: &str) -> Self {
        self.intermediate_with(name, 1)
    }

    /// Like [`Ca::intermediate`], with this serial number.
    pub(crate) fn intermediate_with(&self, name: &str, serial: u64) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = authority(name);
        params.serial_number = Some(SerialNumber::from(serial));
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            between: certificate.pem() + &self.between,
            certificate,
        }
    }

    /// A server certificate for `names` (DNS names and IP addresses) with a P-256 key.
    pub(crate) fn leaf(&self, names: &[&str]) -> Pair {
        self.sign(Leaf::server(names))
    }

    /// The certificate that `leaf` asks for.
    pub(crate) fn sign(&self, leaf: Leaf) -> Pair {
        let key = KeyPair::generate_for(leaf.algorithm).unwrap();
        self.sign_key(leaf, &key)
    }

    /// The certificate that `leaf` asks for, over this key.
    pub(crate) fn sign_key(&self, leaf: Leaf, key: &KeyPair) -> Pair {
        let certificate = leaf.params().signed_by(key, &self.issuer).unwrap();
        Pair::new(certificate.pem() + &self.between, key)
    }

    /// This authority's own certificate, PEM.
    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// This authority's private key, PEM.
    pub(crate) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// This authority's own certificate, DER.
    pub(crate) fn der(&self) -> Vec<u8> {
        self.certificate.der().to_vec()
    }

    /// A store that trusts this authority alone.
    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        roots
    }

    /// A revocation list that names `serials`, PEM.
    pub(crate) fn revocation_list(&self, serials: &[u64]) -> String {
        self.revocation_list_until(serials, SystemTime::now() + DAY)
    }

    /// Like [`Ca::revocation_list`], in DER.
    pub(crate) fn revocation_list_der(&self, serials: &[u64]) -> Vec<u8> {
        use rustls::pki_types::CertificateRevocationListDer;
        use rustls::pki_types::pem::PemObject;
        let list = self.revocation_list(serials);
        CertificateRevocationListDer::from_pem_slice(list.as_bytes())
            .unwrap()
            .to_vec()
    }

    /// A revocation list that says nothing from `next_update` on.
    pub(crate) fn revocation_list_until(&self, serials: &[u64], next_update: SystemTime) -> String {
        let now = SystemTime::now();
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: (now - DAY).into(),
            reason_code: None,
            invalidity_date: None,
        };
        CertificateRevocationListParams {
            this_update: (now - 2 * DAY).into(),
            next_update: next_update.into(),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        }
        .signed_by(&self.issuer)
        .unwrap()
        .pem()
        .unwrap()
    }
}

impl Pair {
    /// This certificate, with the key of another.
    pub(crate) fn without_its_key(&self, other: &Self) -> Self {
        Self {
            key_pem: other.key_pem.clone(),
            key: other.key.clone(),
            ..self.clone()
        }
    }

    /// A certificate that signs itself.
    pub(crate) fn self_signed(leaf: Leaf) -> Self {
        let key = KeyPair::generate_for(leaf.algorithm).unwrap();
        Self::new(leaf.params().self_signed(&key).unwrap().pem(), &key)
    }

    /// The two entries of a Kubernetes TLS Secret.
    pub(crate) fn files(&self) -> [(&'static str, &[u8]); 2] {
        [
            ("tls.crt", self.cert_pem.as_bytes()),
            ("tls.key", self.key_pem.as_bytes()),
        ]
    }

    /// The chain, leaf first.
    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.clone()
    }

    /// The private key.
    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.clone()).into()
    }

    /// The leaf, as a client sees it in the handshake.
    pub(crate) fn leaf_der(&self) -> &CertificateDer<'static> {
        &self.chain[0]
    }

    /// A chain made elsewhere, and its key.
    pub(crate) fn of(cert_pem: String, key: &KeyPair) -> Self {
        Self::new(cert_pem, key)
    }

    fn new(cert_pem: String, key: &KeyPair) -> Self {
        use rustls::pki_types::pem::PemObject;
        let chain = CertificateDer::pem_slice_iter(cert_pem.as_bytes());
        Self {
            chain: chain.map(Result::unwrap).collect(),
            cert_pem,
            key_pem: key.serialize_pem(),
            key: key.serialize_der(),
        }
    }
}

impl Leaf {
    /// A server certificate for these DNS names and IP addresses.
    pub(crate) fn server(names: &[&str]) -> Self {
        let now = SystemTime::now();
        Self {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            not_before: now - DAY,
            not_after: now + 30 * DAY,
            algorithm: &rcgen::PKCS_ECDSA_P256_SHA256,
            usage: ExtendedKeyUsagePurpose::ServerAuth,
            serial: None,
            uris: Vec::new(),
            organisation: None,
        }
    }

    /// A client certificate for these names.
    pub(crate) fn client(names: &[&str]) -> Self {
        Self {
            usage: ExtendedKeyUsagePurpose::ClientAuth,
            ..Self::server(names)
        }
    }

    /// Valid between these two times.
    pub(crate) fn valid(mut self, from: SystemTime, to: SystemTime) -> Self {
        self.not_before = from;
        self.not_after = to;
        self
    }

    /// Ended yesterday.
    pub(crate) fn expired(self) -> Self {
        let now = SystemTime::now();
        self.valid(now - 30 * DAY, now - DAY)
    }

    /// Begins tomorrow.
    pub(crate) fn not_yet_valid(self) -> Self {
        let now = SystemTime::now();
        self.valid(now + DAY, now + 30 * DAY)
    }

    /// A key of this kind, such as [`rcgen::PKCS_RSA_SHA256`] (2048 bits) or [`rcgen::PKCS_ED25519`].
    pub(crate) fn algorithm(mut self, algorithm: &'static SignatureAlgorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// With this URI among its names.
    pub(crate) fn uri(mut self, uri: &str) -> Self {
        self.uris.push(uri.to_owned());
        self
    }

    /// With this organisation in its subject.
    pub(crate) fn organisation(mut self, name: &str) -> Self {
        self.organisation = Some(name.to_owned());
        self
    }

    /// With this serial number, so that a revocation list can name it.
    pub(crate) fn serial(mut self, serial: u64) -> Self {
        self.serial = Some(serial);
        self
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::new(self.names.clone()).unwrap();
        let common_name = self.names.first().map_or("no name", String::as_str);
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        if let Some(organisation) = &self.organisation {
            params
                .distinguished_name
                .push(DnType::OrganizationName, organisation.as_str());
        }
        for uri in &self.uris {
            let uri = uri.as_str().try_into().unwrap();
            params.subject_alt_names.push(SanType::URI(uri));
        }
        params.not_before = self.not_before.into();
        params.not_after = self.not_after.into();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![self.usage.clone()];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = self.serial.map(SerialNumber::from);
        params
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}
