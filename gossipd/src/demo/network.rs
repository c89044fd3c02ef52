//! Organisations that exist for one demonstration: their authorities and certificates.

use std::{
    net::Ipv4Addr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use gossip_msp::{ConfigError, Msp, MspConfig, NodeOus, OuIdentifier, SigningIdentity, Source};
use gossip_tokio::tls::{KeyPair as TlsKeyPair, Roots, TlsConfig};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

use super::Failure;

/// An organisation with an authority for identities and one for TLS.
#[derive(Debug)]
pub(crate) struct Organisation {
    mspid: String,
    domain: String,
    identities: CertifiedIssuer<'static, KeyPair>,
    tls: CertifiedIssuer<'static, KeyPair>,
}

impl Organisation {
    /// Makes the authorities; `name` is like `org1`, the MSP id becomes `Org1MSP`.
    pub(crate) fn new(name: &str) -> Result<Self, rcgen::Error> {
        let mut letters = name.chars();
        let initial = letters.next().map(|letter| letter.to_ascii_uppercase());
        let capitalised: String = initial.into_iter().chain(letters).collect();
        let domain = format!("{name}.example.com");
        Ok(Self {
            mspid: format!("{capitalised}MSP"),
            identities: authority(&format!("ca.{domain}"))?,
            tls: authority(&format!("tlsca.{domain}"))?,
            domain,
        })
    }

    /// Returns the MSP id.
    pub(crate) fn mspid(&self) -> &str {
        &self.mspid
    }

    /// Returns the rules by which the members of the organisation are told.
    pub(crate) fn msp(&self) -> Result<Msp, ConfigError> {
        let role =
            |unit: Role| Some(OuIdentifier { unit: unit.unit().to_owned(), certificate: None });
        Msp::new(&MspConfig {
            id: self.mspid.clone(),
            root_certs: vec![Source::new("authority", self.identities.pem())],
            node_ous: Some(NodeOus {
                client: role(Role::Client),
                peer: role(Role::Peer),
                admin: role(Role::Admin),
                orderer: role(Role::Orderer),
            }),
            ..MspConfig::default()
        })
    }

    /// Makes a member's key and has its certificate signed; `name` is like `peer0`.
    pub(crate) fn member(&self, name: &str, role: Role) -> Result<SigningIdentity, Box<Failure>> {
        let key = KeyPair::generate()?;
        let mut params = params(&format!("{name}.{}", self.domain));
        params.distinguished_name.push(DnType::OrganizationalUnitName, role.unit());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let certificate =
            Source::new("certificate", params.signed_by(&key, &self.identities)?.pem());
        let key = Source::new("private key", key.serialize_pem());
        Ok(SigningIdentity::new(&self.mspid, &certificate, &key)?)
    }

    /// Makes a server's key and has its certificate for this machine signed.
    pub(crate) fn server(&self, name: &str, roots: &Roots) -> Result<TlsConfig, Box<Failure>> {
        let name = format!("{name}.{}", self.domain);
        let key = KeyPair::generate()?;
        let mut params = params(&name);
        params.subject_alt_names = vec![
            SanType::IpAddress(Ipv4Addr::LOCALHOST.into()),
            SanType::DnsName("localhost".try_into()?),
        ];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let chain = vec![params.signed_by(&key, &self.tls)?.der().clone()];
        let pair = TlsKeyPair::from_der(&name, chain, key.into())?;
        Ok(TlsConfig::new(&pair, roots)?)
    }
}

/// What a member is to its organisation, as the organisational unit in its certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    Admin,
    Client,
    Orderer,
    Peer,
}

impl Role {
    const fn unit(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Client => "client",
            Self::Orderer => "orderer",
            Self::Peer => "peer",
        }
    }
}

/// Joins the authorities that vouch for the servers of all organisations.
pub(crate) fn tls_roots(orgs: &[Organisation]) -> Result<Roots, Box<Failure>> {
    let authorities = orgs.iter().map(|org| org.tls.der().clone());
    Ok(Roots::from_der("TLS authorities", authorities)?)
}

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = date_time_ymd(1970, 1, 1) + Duration::from_secs(since_epoch.as_secs());
    params.not_before = now - DAY;
    params.not_after = now + 365 * DAY;
    params
}

const DAY: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use gossip_msp::{Identities, pki_id};

    use super::*;

    #[test]
    fn members_are_told_by_their_organisation_and_no_other() {
        let orgs = ["org1", "org2"].map(|name| Organisation::new(name).expect("authorities"));
        let member = orgs[0].member("peer0", Role::Peer).expect("a member");
        let identity = member.serialized();
        let facts = Identities::new([orgs[0].msp().expect("rules")]).validate(identity);
        let facts = facts.expect("a valid identity");
        assert_eq!(&*facts.mspid, "Org1MSP");
        assert_eq!(Some(facts.pki_id), pki_id(identity));
        let others = Identities::new([orgs[1].msp().expect("rules")]);
        assert!(others.validate(identity).is_err());
    }
}
