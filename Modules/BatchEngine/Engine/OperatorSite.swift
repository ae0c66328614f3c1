/// The place of an operator call in the user's source, carried into every error about it.
public struct OperatorSite: Sendable, Hashable, CustomStringConvertible {
    /// The operator's name as the user wrote it, for example `map`.
    public let name: String
    /// The file that holds the call, as `Module/File.swift`.
    public let file: String
    /// The line of the call, counted from 1.
    public let line: UInt

    /// Makes a site from a name and the compiler's literals.
    @inlinable
    public init(_ name: String, file: String, line: UInt) {
        self.name = name
        self.file = file
        self.line = line
    }

    /// The site as `map at Module/File.swift:12`.
    public var description: String { "\(name) at \(file):\(line)" }
}

/// A user closure's error together with the operator it was thrown from.
public struct OperatorFailure: Error, CustomStringConvertible {
    /// The operator whose closure threw.
    public let site: OperatorSite
    /// What the closure threw.
    public let underlying: any Error

    /// Makes a failure, keeping the innermost operator when `error` already names one.
    @inlinable
    public init(_ error: any Error, at site: OperatorSite) {
        if let inner = error as? OperatorFailure {
            self = inner
        } else {
            self.site = site
            self.underlying = error
        }
    }

    /// Wraps `error` unless it is a control signal (`CancellationError`, early stop).
    @inlinable
    public static func wrap(_ error: any Error, at site: OperatorSite) -> any Error {
        isSignal(error) ? error : OperatorFailure(error, at: site)
    }

    /// Whether an error ends a task without anything having failed.
    @inlinable
    package static func isSignal(_ error: any Error) -> Bool {
        error is CancellationError || error is StopEarly
    }

    /// Calls a user's closure and wraps what it throws.
    ///
    /// The result goes straight to where it is wanted: with a variable in between, the compiler
    /// copies it through memory, which made a map nearly twice as slow.
    @inlinable @inline(__always)
    static func attempt<Input, Output>(
        _ site: OperatorSite, _ body: (Input) throws -> Output, _ input: Input
    ) throws -> Output {
        do { return try body(input) } catch { throw wrap(error, at: site) }
    }

    /// Calls a user's closure of two values and wraps what it throws.
    @inlinable @inline(__always)
    static func attempt<First, Second, Output>(
        _ site: OperatorSite, _ body: (First, Second) throws -> Output, _ first: First,
        _ second: Second
    ) throws -> Output {
        do { return try body(first, second) } catch { throw wrap(error, at: site) }
    }

    /// The error and the operator in words.
    public var description: String { "\(site): \(underlying)" }
}

/// The private signal with which `take` and `first` end a push loop early.
public struct StopEarly: Error {
    @usableFromInline init() {}
}
