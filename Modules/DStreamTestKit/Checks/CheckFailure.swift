/// What a conformance check found wrong.
public struct CheckFailure: Error, CustomStringConvertible {
    /// The promise that is not kept, and what was seen instead.
    public let description: String

    /// Makes a failure.
    public init(_ description: String) { self.description = description }
}

/// Throws unless `condition` holds.
func require(_ condition: Bool, _ promise: @autoclosure () -> String) throws {
    if !condition { throw CheckFailure(promise()) }
}
