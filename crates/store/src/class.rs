//! A class of data: its name, the fields by which it is found, and how long it rests.

/// A class of records. The room that writes them owns it as a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// Unique among all rooms; it stands in the database and in configuration.
    pub name: &'static str,
    /// Fields of the clear metadata that are indexed, so that [`Query`](crate::Query) can
    /// filter by them. A text, number or boolean is one value; of an array, each item is one.
    pub facets: &'static [&'static str],
    /// Those of the facets whose values are counted as records are written, so that
    /// [`Store::count`](crate::Store::count) answers at once, however many records there are.
    /// Not for values that hardly two records share, such as ids: they cost more than they tell.
    pub counted: &'static [&'static str],
    /// What [`Store::sweep`](crate::Store::sweep) lets be, unless the configuration says otherwise.
    pub retention: Retention,
}

impl Class {
    /// What its records are found and counted by, as a text to compare: where it changes, they
    /// are indexed anew.
    pub(crate) fn indexed(&self) -> String {
        let facets = self.facets.join("\n");
        match self.counted {
            [] => facets,
            counted => format!("{facets}\n\n{}", counted.join("\n")),
        }
    }
}

/// How long records rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Older records are swept.
    pub days: Option<u32>,
    /// The oldest records beyond this many bytes are swept. It counts for each tenant by
    /// itself, so that one tenant's flood cannot push out another's evidence.
    pub bytes_max: Option<u64>,
}

impl Retention {
    /// Until someone deletes it.
    pub const FOREVER: Self = Self { days: None, bytes_max: None };

    /// So many days, however much it is.
    pub const fn days(days: u32) -> Self {
        Self { days: Some(days), bytes_max: None }
    }

    /// The same, and at most so many bytes a tenant.
    pub const fn bytes_max(self, bytes: u64) -> Self {
        Self { days: self.days, bytes_max: Some(bytes) }
    }
}
