internal import BatchEngine

/// What user code threw in another process, in its own words.
struct RemoteFailure: Error, CustomStringConvertible {
    let description: String
}

/// The worker that did a task is no more.
struct WorkerLost: Error, CustomStringConvertible {
    let description: String
}

/// Why a task failed, as a worker sends it.
struct FailureMessage: Sendable {
    /// The name of an ``EngineError``'s code; nil: something else was thrown.
    var code: String?
    /// The name of the code of what user code met with; nil: it has none.
    var cause: String?
    var message: String
    var site: OperatorSite?
    /// The text of the error below an ``EngineError``.
    var underlying: String?

    init(_ error: any Error) {
        switch error {
        case let error as EngineError:
            code = error.code.description
            message = error.message
            site = error.site
            underlying = error.underlying.map { "\($0)" }
        case let error as OperatorFailure:
            site = error.site
            (cause, message) = Self.cause(error.underlying)
        default: (cause, message) = Self.cause(error)
        }
    }

    private static func cause(_ error: any Error) -> (name: String?, message: String) {
        if let error = error as? any CodedError { return (error.codeName, error.message) }
        return (nil, "\(error)")
    }

    var payload: [UInt8] {
        var writer = ByteWriter()
        code.encode(to: &writer)
        cause.encode(to: &writer)
        writer.writeString(message)
        underlying.encode(to: &writer)
        (site != nil).encode(to: &writer)
        if let site {
            writer.writeString(site.name)
            writer.writeString(site.file)
            writer.writeVarint(UInt64(site.line))
        }
        return writer.bytes
    }

    init(payload: [UInt8]) throws {
        var (code, cause, underlying): (String?, String?, String?)
        var message = ""
        var site: OperatorSite?
        try payload.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            code = try String?.decode(from: &reader)
            cause = try String?.decode(from: &reader)
            message = try reader.readString()
            underlying = try String?.decode(from: &reader)
            guard try Bool.decode(from: &reader) else { return }
            site = OperatorSite(
                try reader.readString(), file: try reader.readString(),
                line: UInt(clamping: try reader.readVarint()))
        }
        self.code = code
        self.cause = cause
        self.message = message
        self.site = site
        self.underlying = underlying
    }

    /// The error as if it had been thrown here.
    func error(in program: EngineProgram) -> any Error {
        if let code = code.flatMap({ EngineError.Code(name: $0) }) {
            return EngineError(
                code, message, site: site,
                underlying: underlying.map { RemoteFailure(description: $0) })
        }
        let failure =
            cause.flatMap { program.remakeError($0, message) }
            ?? RemoteFailure(description: message)
        return site.map { OperatorFailure(failure, at: $0) } ?? failure
    }
}
