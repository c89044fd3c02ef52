//! Organisations made for a test, for identities whose keys it must hold.

use gossip_msp::{Msp, MspConfig, SigningIdentity, Source};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// An organisation with one authority.
pub(crate) struct Organisation {
    mspid: &'static str,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Organisation {
    pub(crate) fn new(mspid: &'static str) -> Self {
        let mut params = params(mspid);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = CertifiedIssuer::self_signed(params, key()).expect("an authority");
        Self { mspid, authority }
    }

    pub(crate) fn msp(&self) -> Msp {
        msp(self.mspid, &self.authority.pem())
    }

    /// Issues a peer that is valid long enough.
    pub(crate) fn peer(&self) -> SigningIdentity {
        self.peer_until(2049)
    }

    /// Issues a peer whose certificate ends with the beginning of a year.
    pub(crate) fn peer_until(&self, year: i32) -> SigningIdentity {
        let key = key();
        let mut params = params("peer");
        params.not_after = date_time_ymd(year, 1, 1);
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.authority).expect("a certificate");
        let certificate = Source::new("certificate", certificate.pem());
        let key = Source::new("key", key.serialize_pem());
        SigningIdentity::new(self.mspid, &certificate, &key).expect("a signing identity")
    }
}

/// Makes the rules of an organisation that has this authority.
pub(crate) fn msp(mspid: &str, authority_pem: &str) -> Msp {
    let root = Source::new("authority", authority_pem.to_owned());
    let config = MspConfig { id: mspid.into(), root_certs: vec![root], ..MspConfig::default() };
    Msp::new(&config).expect("a usable configuration")
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 1, 1);
    params
}

fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key")
}
