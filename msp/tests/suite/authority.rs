//! Made authorities, members and revocation lists.

use gossip_msp::{Msp, MspConfig, Source};
use gossip_proto::msp::SerializedIdentity;
use prost::Message;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    DistinguishedName, DnType, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber, SignatureAlgorithm, date_time_ymd,
};

/// An authority that issues members, other authorities and revocation lists.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn root(name: &str) -> Self {
        Self(CertifiedIssuer::self_signed(authority_params(name), key()).expect("a root"))
    }

    /// A root with a key of this kind.
    pub(crate) fn root_on(algorithm: &'static SignatureAlgorithm) -> Self {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        Self(CertifiedIssuer::self_signed(authority_params("root"), key).expect("a root"))
    }

    pub(crate) fn root_with(name: &str, edit: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = authority_params(name);
        edit(&mut params);
        Self(CertifiedIssuer::self_signed(params, key()).expect("a root"))
    }

    pub(crate) fn intermediate(&self, name: &str) -> Self {
        self.intermediate_with(name, |_| ())
    }

    pub(crate) fn intermediate_with(
        &self,
        name: &str,
        edit: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let mut params = authority_params(name);
        edit(&mut params);
        params.use_authority_key_identifier_extension = true;
        let signed = CertifiedIssuer::signed_by(params, key(), &self.0);
        Self(signed.expect("an intermediate"))
    }

    /// The same name and key in another certificate.
    pub(crate) fn renewed(&self, name: &str) -> Self {
        let key = KeyPair::from_pem(&self.0.key().serialize_pem()).expect("own key");
        let mut params = authority_params(name);
        params.not_after = date_time_ymd(2030, 1, 1);
        Self(CertifiedIssuer::self_signed(params, key).expect("a root"))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn source(&self) -> Source {
        Source::new("authority", self.pem())
    }

    /// Issues a member, an ordinary one save for `edit`.
    pub(crate) fn member(&self, edit: impl FnOnce(&mut CertificateParams)) -> Member {
        self.member_on(&rcgen::PKCS_ECDSA_P256_SHA256, edit)
    }

    /// Issues a member with a key of this kind.
    pub(crate) fn member_on(
        &self,
        algorithm: &'static SignatureAlgorithm,
        edit: impl FnOnce(&mut CertificateParams),
    ) -> Member {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let mut params = params("member");
        params.use_authority_key_identifier_extension = true;
        edit(&mut params);
        let certificate = params.signed_by(&key, &self.0).expect("a member");
        Member { pem: certificate.pem(), key_pem: key.serialize_pem() }
    }

    /// Makes a list that names these serial numbers, long past its next update.
    pub(crate) fn revocation_list(&self, serials: &[u64], key_id: KeyIdMethod) -> Source {
        let revoked = |&serial| RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2040, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2001, 1, 1),
            next_update: date_time_ymd(2001, 2, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: key_id,
        };
        let list = params.signed_by(&self.0).expect("a revocation list");
        Source::new("list", list.pem().expect("PEM"))
    }

    /// The subject key identifier.
    pub(crate) fn key_id(&self) -> Vec<u8> {
        authority_params("any").key_identifier(self.0.key())
    }
}

/// A certificate and its private key, both as PEM.
pub(crate) struct Member {
    pub(crate) pem: String,
    pub(crate) key_pem: String,
}

/// An organisation of one root and nothing else.
pub(crate) fn config(root: &Authority) -> MspConfig {
    MspConfig { id: ID.into(), root_certs: vec![root.source()], ..MspConfig::default() }
}

pub(crate) fn msp(config: &MspConfig) -> Msp {
    Msp::new(config).expect("a usable configuration")
}

/// The serialized identity of a certificate of the made organisation.
pub(crate) fn identity(pem: &str) -> Vec<u8> {
    SerializedIdentity { mspid: ID.into(), id_bytes: pem.to_owned().into() }.encode_to_vec()
}

/// Adds an organisational unit to the subject.
///
/// A subject keeps one value of each kind, so a second unit goes by its number.
pub(crate) fn unit(params: &mut CertificateParams, text: &str) {
    let kind = match params.distinguished_name.get(&DnType::OrganizationalUnitName) {
        None => DnType::OrganizationalUnitName,
        Some(_) => DnType::CustomDnType(vec![2, 5, 4, 11]),
    };
    params.distinguished_name.push(kind, text);
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

/// The MSP id of the made organisation.
pub(crate) const ID: &str = "MadeMSP";
