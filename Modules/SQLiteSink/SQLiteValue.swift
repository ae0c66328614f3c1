/// A value of a row, for one parameter of an insert statement.
public enum SQLiteValue: Sendable, Hashable {
    /// NULL.
    case null
    /// A whole number.
    case integer(Int64)
    /// A floating-point number; SQLite makes NULL of NaN.
    case real(Double)
    /// A text, in UTF-8.
    case text(String)
    /// Bytes as they are.
    case blob([UInt8])

    /// A whole number.
    public static func integer(_ number: Int) -> SQLiteValue { .integer(Int64(number)) }
}
