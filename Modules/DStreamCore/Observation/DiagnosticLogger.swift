internal import BatchEngine

/// How important a diagnostic message is.
public enum DiagnosticLevel: Int, Sendable, Hashable, Comparable, CaseIterable {
    /// Of use while looking for a fault.
    case debug
    /// A normal event worth a line.
    case info
    /// Something that was handled but should not happen often.
    case warning
    /// Something failed, and data or progress may be affected.
    case error

    /// Whether the first level is less important than the second.
    public static func < (left: DiagnosticLevel, right: DiagnosticLevel) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// Where messages for people go; programs connect their logging system here.
///
/// Messages and metadata name streams, batches, operators and counts, never the data that flow
/// through them.
///
/// ## Isolation
/// Called from any thread, also from several at once. It must not block and cannot fail.
public protocol DiagnosticLogger: Sendable {
    /// Takes a message.
    ///
    /// - Parameters:
    ///   - level: how important it is.
    ///   - message: its text; not evaluated by a logger that does not want the level.
    ///   - metadata: names and values that go with it.
    func log(
        level: DiagnosticLevel, _ message: @autoclosure () -> String, metadata: [String: String])
}

extension DiagnosticLogger {
    /// Takes a message without metadata.
    public func log(level: DiagnosticLevel, _ message: @autoclosure () -> String) {
        log(level: level, message(), metadata: [:])
    }
}

/// A logger that drops every message unread: the default.
public struct SilentDiagnosticLogger: DiagnosticLogger {
    /// Creates the logger.
    public init() {}

    /// Drops a message without evaluating it.
    public func log(
        level: DiagnosticLevel, _ message: @autoclosure () -> String, metadata: [String: String]
    ) {}
}

/// A logger that writes each message as one line to the standard error.
public struct StandardErrorDiagnosticLogger: DiagnosticLogger {
    /// The least important level that is written.
    public let minimumLevel: DiagnosticLevel

    /// Creates the logger.
    ///
    /// - Parameter minimumLevel: the least important level that is written.
    public init(minimumLevel: DiagnosticLevel = .info) {
        self.minimumLevel = minimumLevel
    }

    /// Writes a message, line breaks within it made visible, if its level is wanted.
    public func log(
        level: DiagnosticLevel, _ message: @autoclosure () -> String, metadata: [String: String]
    ) {
        guard level >= minimumLevel else { return }
        ProcessOutput.writeStandardError(
            Self.line(level: level, message: message(), metadata: metadata))
    }

    /// One line of text for an entry; control characters are escaped.
    package static func line(
        level: DiagnosticLevel, message: String, metadata: [String: String]
    ) -> String {
        var line = "[\(level)] \(escaped(message))"
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            line += " \(escaped(key))=\(escaped(value))"
        }
        return line + "\n"
    }

    /// Control characters are escaped, so that no value can forge a line of its own.
    private static func escaped(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            if isControl(scalar) {
                result += scalar.escaped(asASCII: true)
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.generalCategory == .control && scalar != "\t"
    }
}
