import DStreamCore

/// One step of a case: arguments to be taken out, results to be compared, and nothing left over.
struct PieceStep {
    struct Malformed: Error, CustomStringConvertible {
        let description: String
    }

    private var members: [String: PieceJSON]
    private let text: String
    private(set) var differences: [String] = []

    init(_ json: PieceJSON) throws {
        guard case .object(let members) = json else {
            throw Malformed(description: "not an object: \(json)")
        }
        self.members = members
        text = json.description
    }

    func has(_ key: String) -> Bool { members[key] != nil }

    mutating func take(_ key: String) throws -> PieceJSON {
        guard let value = members.removeValue(forKey: key) else {
            throw Malformed(description: "no \(key) in \(text)")
        }
        return value
    }

    mutating func takeInt(_ key: String) throws -> Int64 {
        guard case .int(let value) = try take(key) else {
            throw Malformed(description: "\(key) is no whole number in \(text)")
        }
        return value
    }

    mutating func takeOptionalInt(_ key: String) throws -> Int64? {
        if members[key] == .null {
            members[key] = nil
            return nil
        }
        return try takeInt(key)
    }

    mutating func takeDouble(_ key: String) throws -> Double {
        switch try take(key) {
        case .int(let value): return Double(value)
        case .double(let value): return value
        default: throw Malformed(description: "\(key) is no number in \(text)")
        }
    }

    mutating func takeString(_ key: String) throws -> String {
        guard case .string(let value) = try take(key) else {
            throw Malformed(description: "\(key) is no string in \(text)")
        }
        return value
    }

    mutating func takeOptionalString(_ key: String) throws -> String? {
        if members[key] == .null {
            members[key] = nil
            return nil
        }
        return try takeString(key)
    }

    mutating func takeObject(_ key: String) throws -> [String: PieceJSON] {
        guard case .object(let value) = try take(key) else {
            throw Malformed(description: "\(key) is no object in \(text)")
        }
        return value
    }

    mutating func takeArray(_ key: String) throws -> [PieceJSON] {
        guard case .array(let value) = try take(key) else {
            throw Malformed(description: "\(key) is no list in \(text)")
        }
        return value
    }

    mutating func takeBool(_ key: String) throws -> Bool {
        guard case .bool(let value) = try take(key) else {
            throw Malformed(description: "\(key) is neither true nor false in \(text)")
        }
        return value
    }

    mutating func takeTime(_ key: String) throws -> BatchTime {
        BatchTime(milliseconds: try takeInt(key))
    }

    mutating func takeDuration(_ key: String) throws -> Duration {
        .milliseconds(try takeInt(key))
    }

    /// Compares the value of a key with ours.
    mutating func expect(_ key: String, _ ours: PieceJSON) throws {
        let theirs = try take(key)
        if theirs != ours { differences.append("\(key) is \(ours), not as in \(text)") }
    }

    /// Compares the outcome of an operation with `result` or `error`.
    mutating func expectOutcome(_ operation: () throws -> PieceJSON) throws {
        try expectOutcome(Result { try operation() })
    }

    /// Compares an outcome with `result` or `error`.
    mutating func expectOutcome(_ outcome: Result<PieceJSON, any Error>) throws {
        if has("error") {
            var error = try PieceStep(try take("error"))
            let code = try PieceErrorCodes.code(
                type: try error.takeString("type"), message: try error.takeString("message"))
            differences += try error.finish()
            guard case .failure(let ours) = outcome else {
                differences.append("no error \(code), unlike \(text)")
                return
            }
            if PieceErrorCodes.code(of: ours) != code {
                differences.append("\(ours), not \(code), as in \(text)")
            }
        } else {
            switch outcome {
            case .success(let value): try expect("result", value)
            case .failure(let error): differences.append("\(error), unlike \(text)")
            }
        }
    }

    /// Adds a member, as if it had been recorded.
    mutating func set(_ key: String, _ value: PieceJSON) { members[key] = value }

    /// Removes a member that was taken from a copy.
    mutating func remove(_ key: String) { members[key] = nil }

    /// Compares two lists and notes a difference in a step.
    static func compare(
        _ what: String, _ ours: [PieceJSON], _ theirs: [PieceJSON], _ step: inout PieceStep
    ) throws {
        if ours != theirs { step.add(["\(what) are \(ours), not \(theirs)"]) }
    }

    /// Notes differences found elsewhere.
    mutating func add(_ more: [String]) { differences += more }

    /// Fails if a key was not asked for.
    func requireNothingLeft() throws {
        let left = try finish()
        guard left.isEmpty else { throw Malformed(description: left.joined(separator: "; ")) }
    }

    /// All differences; keys nobody asked for are among them.
    func finish() throws -> [String] {
        differences + members.keys.sorted().map { "unknown key \($0) in \(text)" }
    }
}

extension PieceJSON {
    static func time(_ time: BatchTime) -> PieceJSON { .int(time.milliseconds) }

    static func times(_ times: [BatchTime]) -> PieceJSON { .array(times.map { .time($0) }) }

    /// A duration in whole milliseconds; one with a fraction compares unequal to all numbers.
    static func duration(_ duration: Duration) -> PieceJSON {
        duration.wholeMilliseconds.map { .int($0) } ?? .string("\(duration)")
    }
}
