internal import BatchEngine

/// What user code threw in another process, in its own words.
struct RemoteFailure: Error, CustomStringConvertible {
    let description: String
}

/// The worker that did a task is no more.
package struct WorkerLost: Error, CustomStringConvertible {
    package let description: String

    package init(description: String) { self.description = description }
}

/// Why a task failed, as a worker sends it.
struct FailureMessage: Sendable {
    /// The number of the task.
    var task: UInt64
    /// The name of an ``EngineError``'s code; nil: something else was thrown.
    var code: String?
    /// The name of the code of what user code met with; nil: it has none.
    var cause: String?
    var message: String
    var site: OperatorSite?
    /// The place that the error with the code ``cause`` names itself.
    var causeSite: OperatorSite?
    /// The text of the error below an ``EngineError``, or below the one with the code ``cause``.
    var underlying: String?

    init(_ error: any Error, of task: UInt64) {
        switch error {
        case let error as EngineError: self.init(task, of: error)
        case let error as OperatorFailure:
            self.init(task, cause: error.underlying)
            site = error.site
        default: self.init(task, cause: error)
        }
    }

    private init(_ task: UInt64, of error: EngineError) {
        self.task = task
        code = error.code.description
        message = error.message
        site = error.site
        underlying = error.underlying.map { "\($0)" }
    }

    private init(_ task: UInt64, cause error: any Error) {
        self.task = task
        guard let error = error as? any CodedError else {
            message = "\(error)"
            return
        }
        cause = error.codeName
        message = error.message
        causeSite = error.site
        underlying = error.underlying.map { "\($0)" }
    }

    var payload: [UInt8] {
        var writer = ByteWriter()
        writer.writeVarint(task)
        code.encode(to: &writer)
        cause.encode(to: &writer)
        writer.writeString(message)
        underlying.encode(to: &writer)
        Self.write(site, to: &writer)
        Self.write(causeSite, to: &writer)
        return writer.bytes
    }

    private static func write(_ site: OperatorSite?, to writer: inout ByteWriter) {
        (site != nil).encode(to: &writer)
        guard let site else { return }
        writer.writeString(site.name)
        writer.writeString(site.file)
        writer.writeVarint(UInt64(site.line))
    }

    private static func readSite(from reader: inout ByteReader) throws -> OperatorSite? {
        guard try Bool.decode(from: &reader) else { return nil }
        return OperatorSite(
            try reader.readString(), file: try reader.readString(),
            line: UInt(clamping: try reader.readVarint()))
    }

    init(payload: [UInt8]) throws {
        var task: UInt64 = 0
        var (code, cause, underlying): (String?, String?, String?)
        var message = ""
        var (site, causeSite): (OperatorSite?, OperatorSite?)
        try payload.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            task = try reader.readVarint()
            code = try String?.decode(from: &reader)
            cause = try String?.decode(from: &reader)
            message = try reader.readString()
            underlying = try String?.decode(from: &reader)
            site = try Self.readSite(from: &reader)
            causeSite = try Self.readSite(from: &reader)
            try reader.requireEnd(of: "failure")
        }
        self.task = task
        self.code = code
        self.cause = cause
        self.message = message
        self.site = site
        self.causeSite = causeSite
        self.underlying = underlying
    }

    /// Whether a closure of the user's threw: what the worker has is as it was, or is brought back
    /// to that by the next try, as in the driver.
    var isOfClosure: Bool { code == nil && site != nil }

    /// The error as if it had been thrown here.
    func error(in program: EngineProgram) -> any Error {
        let below = underlying.map { RemoteFailure(description: $0) }
        if let code = code.flatMap({ EngineError.Code(name: $0) }) {
            return EngineError(code, message, site: site, underlying: below)
        }
        let failure =
            cause.flatMap { program.remakeError($0, message, causeSite, below) }
            ?? RemoteFailure(description: message)
        return site.map { OperatorFailure(failure, at: $0) } ?? failure
    }
}
