import Testing

/// A place where a rule is broken.
struct Finding: Hashable, Sendable, CustomStringConvertible {
    let path: String
    let line: Int
    /// What was found there; allowances name it.
    let what: String

    init(_ file: SourceFile, _ line: Int, _ what: String) {
        self.init(file.path, line, what)
    }

    init(_ path: String, _ line: Int, _ what: String) {
        self.path = path
        self.line = line
        self.what = what
    }

    var description: String { "\(path):\(line): \(what)" }
}

extension SourceFile {
    /// The places in the code where `what` has something to say about the token at an index.
    func findings(_ what: (_ code: [Token], _ index: Int) -> String?) -> [Finding] {
        code.indices.compactMap { index -> Finding? in
            what(code, index).map { Finding(self, code[index].line, $0) }
        }
    }
}

/// An exception to a rule, with the reason for it.
struct Allowance: Sendable {
    let path: String
    let what: String
    /// How often it may be found; it must be found exactly so often.
    let count: Int
    let reason: String
}

/// What is left of `findings` when exceptions are granted, and the exceptions that have become idle.
func remaining(_ findings: [Finding], allowing allowances: [Allowance]) -> [Finding] {
    var left = findings
    for allowance in allowances {
        let places = left.indices.filter {
            left[$0].path == allowance.path && left[$0].what == allowance.what
        }
        if places.count < allowance.count {
            let times = "\(places.count) instead of \(allowance.count) times"
            left.append(
                Finding(allowance.path, 0, "allowed, but found \(times): \(allowance.what)"))
        }
        for place in places.prefix(allowance.count).reversed() { left.remove(at: place) }
    }
    return left
}

/// Fails the running test with a list of findings, unless there are none.
func expectNone(
    _ findings: [Finding], _ rule: String, sourceLocation: SourceLocation = #_sourceLocation
) {
    guard !findings.isEmpty else { return }
    let list = findings.map(\.description).joined(separator: "\n")
    Issue.record("\(rule)\n\(list)", sourceLocation: sourceLocation)
}
