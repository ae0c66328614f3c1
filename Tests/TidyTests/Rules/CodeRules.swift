/// Unstructured tasks, sleeps and clocks that nobody injected, in `Modules/`.
func unownedTasksAndTime(_ tree: SourceTree) -> [Finding] {
    tree.swift("Modules").flatMap { $0.findings(unownedTaskOrTime) }
}

private func unownedTaskOrTime(_ code: [Token], _ index: Int) -> String? {
    guard code[index].kind == .word, code.text(at: index - 1) != "." else { return nil }
    let next = code.skippingTypeArguments(index + 1)
    let member = code.text(at: next) == "." ? code.text(at: next + 1) : nil
    let isMade = code.text(at: next) == "(" || member == "init"
    switch code[index].text {
    case "Task":
        if isMade || code.text(at: next) == "{" { return "Task {}" }
        return ["detached", "sleep", "immediate"].contains(member) ? "Task.\(member ?? "")" : nil
    case "ContinuousClock": return isMade || member == "now" ? "ContinuousClock()" : nil
    case "Date": return isMade || member == "now" ? "Date()" : nil
    case "SuspendingClock": return "SuspendingClock"
    default: return nil
    }
}

/// Tests wait for facts, never for time to pass.
func sleepingTests(_ tree: SourceTree) -> [Finding] {
    tree.swift("Tests").flatMap { $0.findings(sleep) }
}

private func sleep(_ code: [Token], _ index: Int) -> String? {
    switch code.text(at: index) {
    case "Task", "Thread":
        let next = code.skippingTypeArguments(index + 1)
        let isSleep = code.text(at: next + 1)?.hasPrefix("sleep") == true
        return code.text(at: next) == "." && isSleep ? code[index].text + ".sleep" : nil
    case "sleep", "usleep", "nanosleep", "clock_nanosleep":
        let previous = code.text(at: index - 1)
        guard code.text(at: index + 1) == "(", previous != "func" else { return nil }
        // A clock's own `sleep` is fine: tests give it a manual clock.
        let isModule = ["Glibc", "Darwin", "Musl", "Foundation"].contains(code.text(at: index - 2))
        return previous != "." || isModule ? code[index].text + "()" : nil
    default: return nil
    }
}

/// The standard library's lock, where `Locked` serves.
///
/// The thread sanitizer cannot see it, and reports what it guards as races. Tests from outside have
/// nothing else.
func unseenLocks(_ tree: SourceTree) -> [Finding] {
    let outside = ["Tests/PublicAPITests/", "Tests/PackageTests/"]
    let files = tree.swift("Modules") + tree.swift("Tests")
    return files.filter { file in
        !outside.contains { file.path.hasPrefix($0) }
            && file.path != "Modules/BatchEngine/System/Locked.swift"
    }.flatMap { file in
        file.findings { code, index in code.text(at: index) == "Mutex" ? "Mutex" : nil }
    }
}

/// `try!` and `as!`.
func forcedCode(_ tree: SourceTree) -> [Finding] {
    tree.everything.flatMap { file in
        file.findings { code, index in
            guard let word = code.text(at: index), word == "try" || word == "as",
                code.text(at: index + 1) == "!", code[index + 1].touchesPrevious
            else { return nil }
            return word + "!"
        }
    }
}

/// What is switched off in the compiler's checks, in code that reaches users.
func unsafeCode(_ tree: SourceTree) -> [Finding] {
    tree.shipped.flatMap { file in
        file.findings { code, index in
            switch code.text(at: index) {
            case "unchecked" where code.text(at: index - 1) == "@": "@unchecked"
            case "nonisolated" where code.text(at: index + 2) == "unsafe": "nonisolated(unsafe)"
            case "unsafeBitCast", "unsafeDowncast", "assumeIsolated": code[index].text
            default: nil
            }
        }
    }
}

/// Work that is put off needs a number under which it is known.
func unnumberedNotes(_ tree: SourceTree) -> [Finding] {
    tree.everything.flatMap { file in
        var findings: [Finding] = []
        for token in file.tokens where token.kind == .comment {
            for (offset, line) in token.text.split(separator: "\n").enumerated() {
                let text = line.replacing(#/\b(TODO|FIXME)\(#\d+\)/#, with: "")
                guard let match = text.firstMatch(of: #/\b(TODO|FIXME)\b/#) else { continue }
                findings.append(Finding(file, token.line + offset, String(match.1)))
            }
        }
        let code = file.code
        for index in code.indices
        where ["fatalError", "preconditionFailure"].contains(code.text(at: index)) {
            guard let message = code.string(at: index + 2) else { continue }
            if message.hasPrefix("TODO") || message.hasPrefix("FIXME") {
                findings.append(Finding(file, code[index].line, "trap for code not written"))
            }
        }
        return findings
    }
}
