//! Structures of Parquet's metadata, as far as the library decodes them (`parquet.thrift` of parquet-format
//! 2.12). Other fields are skipped by their type.

use super::thrift::ThriftKind::{self, Binary, Bool, Byte, Double, I16, I32, I64, List, Struct};
use super::thrift::ThriftShape;

macro_rules! shape {
    ($bytes_min:literal: $($id:literal $kind:expr),* $(,)?) => {
        ThriftShape { fields: &[$(($id, $kind)),*], bytes_min: $bytes_min }
    };
}

static EMPTY: ThriftShape = shape!(1:);

static DECIMAL: ThriftShape = shape!(5: 1 I32, 2 I32);
static TIME_UNIT: ThriftShape = shape!(3: 1 Struct(&EMPTY), 2 Struct(&EMPTY), 3 Struct(&EMPTY));
static TIME: ThriftShape = shape!(6: 1 Bool, 2 Struct(&TIME_UNIT));
static INTEGER: ThriftShape = shape!(4: 1 Byte, 2 Bool);
static VARIANT: ThriftShape = shape!(1: 1 Byte);
static GEOMETRY: ThriftShape = shape!(1: 1 Binary);
static GEOGRAPHY: ThriftShape = shape!(1: 1 Binary, 2 I32);
static LOGICAL_TYPE: ThriftShape = shape!(3:
    1 Struct(&EMPTY), 2 Struct(&EMPTY), 3 Struct(&EMPTY), 4 Struct(&EMPTY),
    5 Struct(&DECIMAL), 6 Struct(&EMPTY), 7 Struct(&TIME), 8 Struct(&TIME),
    10 Struct(&INTEGER), 11 Struct(&EMPTY), 12 Struct(&EMPTY), 13 Struct(&EMPTY),
    14 Struct(&EMPTY), 15 Struct(&EMPTY), 16 Struct(&VARIANT), 17 Struct(&GEOMETRY),
    18 Struct(&GEOGRAPHY),
);

/// Shape of `SchemaElement`.
pub(super) static SCHEMA_ELEMENT: ThriftShape = shape!(3:
    1 I32, 2 I32, 3 I32, 4 Binary, 5 I32, 6 I32, 7 I32, 8 I32, 9 I32, 10 Struct(&LOGICAL_TYPE),
);
/// Element type of the list that represents a schema.
pub(super) static SCHEMA_ELEMENTS: ThriftKind = Struct(&SCHEMA_ELEMENT);

static KEY_VALUE: ThriftShape = shape!(3: 1 Binary, 2 Binary);
static STATISTICS: ThriftShape = shape!(1:
    1 Binary, 2 Binary, 3 I64, 4 I64, 5 Binary, 6 Binary, 7 Bool, 8 Bool,
);
static ENCODING_STATS: ThriftShape = shape!(7: 1 I32, 2 I32, 3 I32);
static SIZE_STATISTICS: ThriftShape = shape!(1: 1 I64, 2 List(&I64), 3 List(&I64));
static BOUNDING_BOX: ThriftShape = shape!(37:
    1 Double, 2 Double, 3 Double, 4 Double, 5 Double, 6 Double, 7 Double, 8 Double,
);
static GEOSPATIAL_STATISTICS: ThriftShape = shape!(1: 1 Struct(&BOUNDING_BOX), 2 List(&I32));
static COLUMN_METADATA: ThriftShape = shape!(16:
    1 I32, 2 List(&I32), 3 List(&Binary), 4 I32, 5 I64, 6 I64, 7 I64, 8 List(&Struct(&KEY_VALUE)),
    9 I64, 10 I64, 11 I64, 12 Struct(&STATISTICS), 13 List(&Struct(&ENCODING_STATS)), 14 I64, 15 I32,
    16 Struct(&SIZE_STATISTICS), 17 Struct(&GEOSPATIAL_STATISTICS),
);
static COLUMN_CHUNK: ThriftShape = shape!(3:
    1 Binary, 2 I64, 3 Struct(&COLUMN_METADATA), 4 I64, 5 I32, 6 I64, 7 I32,
);
static SORTING_COLUMN: ThriftShape = shape!(5: 1 I32, 2 Bool, 3 Bool);
static ROW_GROUP: ThriftShape = shape!(7:
    1 List(&Struct(&COLUMN_CHUNK)), 2 I64, 3 I64, 4 List(&Struct(&SORTING_COLUMN)), 5 I64, 6 I64, 7 I16,
);
static COLUMN_ORDER: ThriftShape = shape!(3: 1 Struct(&EMPTY));
/// Shape of `FileMetaData`.
pub(super) static FILE_METADATA: ThriftShape = shape!(10:
    1 I32, 2 List(&Struct(&SCHEMA_ELEMENT)), 3 I64, 4 List(&Struct(&ROW_GROUP)),
    5 List(&Struct(&KEY_VALUE)), 6 Binary, 7 List(&Struct(&COLUMN_ORDER)),
);

static PAGE_LOCATION: ThriftShape = shape!(7: 1 I64, 2 I32, 3 I64);
/// Shape of `OffsetIndex`.
pub(super) static OFFSET_INDEX: ThriftShape = shape!(3: 1 List(&Struct(&PAGE_LOCATION)), 2 List(&I64));
/// Shape of `ColumnIndex`.
pub(super) static COLUMN_INDEX: ThriftShape = shape!(9:
    1 List(&Bool), 2 List(&Binary), 3 List(&Binary), 4 I32, 5 List(&I64), 6 List(&I64), 7 List(&I64),
);

pub(super) static DATA_PAGE: ThriftShape = shape!(9: 1 I32, 2 I32, 3 I32, 4 I32, 5 Struct(&STATISTICS));
pub(super) static DICTIONARY_PAGE: ThriftShape = shape!(5: 1 I32, 2 I32, 3 Bool);
pub(super) static DATA_PAGE_V2: ThriftShape = shape!(13:
    1 I32, 2 I32, 3 I32, 4 I32, 5 I32, 6 I32, 7 Bool, 8 Struct(&STATISTICS),
);
/// Shape of `PageHeader`.
pub(super) static PAGE_HEADER: ThriftShape = shape!(7:
    1 I32, 2 I32, 3 I32, 4 I32, 5 Struct(&DATA_PAGE), 6 Struct(&EMPTY), 7 Struct(&DICTIONARY_PAGE),
    8 Struct(&DATA_PAGE_V2),
);
